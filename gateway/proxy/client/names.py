"""Addresses of upstreams' host names, looked up again when their time to live is over.

1. An address is itself. 2. A name of this host's hosts file, and ``localhost``, is asked of the system (getaddrinfo).
3. Any other name is asked of DNS, which alone tells a time to live; search domains and ``ndots`` of resolv.conf apply.
4. What DNS does not know, or cannot be asked, is asked of the system too: it may have other sources (mDNS, NIS).
"""

import asyncio
import math
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver
from dns.nameserver import Do53Nameserver

from gateway.proxy.client.errors import UNKNOWN_NAME, ConnectFailed
from tenants.values.networks import Address, plain_address

P = ParamSpec("P")
Result = TypeVar("Result")

_LEAST_TTL: Final = 1.0  # seconds
_MOST_TTL: Final = 300.0
_SYSTEM_TTL: Final = 10.0  # the system tells none
_LONGEST_STALE: Final = 600.0  # while look-ups fail
_DNS_SECONDS: Final = 4.0
_THREADS: Final = 4
_MOST_CACHED: Final = 4_096
_HOSTS_FILE: Final = Path("/etc/hosts")


@dataclass(frozen=True, slots=True)
class Resolved:
    """Addresses of a name, in the order of the answer; IPv4 and IPv6 mixed."""

    addresses: tuple[Address, ...]
    expires: float  # monotonic seconds


class Names:
    """Shared by a process: many connections at once cause one look-up."""

    def __init__(
        self,
        servers: Sequence[tuple[str, int]] = (),
        *,
        hosts_file: Path = _HOSTS_FILE,
        least_seconds: float = _LEAST_TTL,
    ) -> None:
        """``servers`` are addresses and ports of name servers, in place of the system's.

        ``least_seconds``: a shorter time to live would make each request wait for a look-up.
        """
        self._least = least_seconds
        self._servers = [Do53Nameserver(*each) for each in servers]
        self._hosts_file = hosts_file
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="upstream-names")
        self._known: dict[str, Resolved] = {}
        self._running: dict[str, asyncio.Task[Resolved]] = {}

    async def resolve(self, host: str) -> Resolved:
        """The addresses. Raises ConnectFailed; has no deadline of its own."""
        literal = _literal(host)
        if literal is not None:
            return Resolved((literal,), math.inf)
        known = self._known.get(host)
        if known is not None and time.monotonic() < known.expires:
            return known
        task = self._running.get(host)
        if task is None:
            task = self._running[host] = asyncio.create_task(self._look_up(host))
            task.add_done_callback(lambda done: self._finish(host, done))
        return await asyncio.shield(task)  # others wait for it as well

    async def close(self) -> None:
        """Stop look-ups."""
        running = [*self._running.values()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _finish(self, host: str, task: asyncio.Task[Resolved]) -> None:
        del self._running[host]
        if task.cancelled() or task.exception() is not None:
            return
        if len(self._known) >= _MOST_CACHED:
            self._known.clear()
        self._known[host] = task.result()

    async def _look_up(self, host: str) -> Resolved:
        try:
            found, seconds = await self._ask(host)
        except (dns.exception.DNSException, OSError):
            return self._stale(host)
        if not found:
            raise ConnectFailed(UNKNOWN_NAME)
        return Resolved(tuple(found), time.monotonic() + seconds)

    def _stale(self, host: str) -> Resolved:
        """What was known before the look-ups began to fail (RFC 8767)."""
        known = self._known.get(host)
        now = time.monotonic()
        if known is None or now > known.expires + _LONGEST_STALE:
            raise ConnectFailed(UNKNOWN_NAME)
        return known

    async def _ask(self, host: str) -> tuple[list[Address], float]:
        """Addresses and seconds. Raises DNSException or OSError when DNS failed and the system knows nothing."""
        failure: Exception | None = None
        if not await self._is_local(host):
            try:
                found, seconds = await self._ask_dns(host)
            except dns.resolver.LifetimeTimeout:
                raise  # the system would wait for the same servers
            except (dns.exception.DNSException, OSError) as error:
                found, failure = [], error
            if found:
                return found, seconds
        found = await self._in_thread(_ask_system, host)
        if failure is not None and not found:
            raise failure
        return found, _SYSTEM_TTL

    async def _is_local(self, host: str) -> bool:
        if host == "localhost" or host.endswith(".localhost"):
            return True
        return await self._in_thread(_is_in_hosts_file, host, self._hosts_file)

    async def _in_thread(self, function: Callable[P, Result], *args: P.args, **_: P.kwargs) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    async def _ask_dns(self, host: str) -> tuple[list[Address], float]:
        both = await asyncio.gather(*(self._ask_record(host, each) for each in ("AAAA", "A")))
        found = [address for addresses, _ in both for address in addresses]
        return found, min(max(min(seconds for _, seconds in both), self._least), _MOST_TTL)

    async def _ask_record(self, host: str, kind: str) -> tuple[list[Address], float]:
        try:
            answer = await self._opened().resolve(host, kind, lifetime=_DNS_SECONDS, search=True)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return [], _MOST_TTL
        return [plain_address(each.address) for each in answer], answer.expiration - time.time()

    def _opened(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None:
            self._resolver = dns.asyncresolver.Resolver(configure=not self._servers)
            if self._servers:
                self._resolver.nameservers = [*self._servers]
        return self._resolver


def _literal(host: str) -> Address | None:
    try:
        return plain_address(host)
    except ValueError:
        return None


def _is_in_hosts_file(host: str, path: Path) -> bool:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").lower().splitlines()
    except OSError:
        return False
    return any(host.lower() in line.partition("#")[0].split()[1:] for line in lines)


def _ask_system(host: str) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(plain_address(str(entry[4][0])) for entry in found))
