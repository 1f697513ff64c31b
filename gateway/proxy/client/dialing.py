"""Opens connections: names, address filter, all addresses in turn (RFC 8305), TLS, within one deadline."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from itertools import chain, zip_longest
from typing import Final

from gateway.proxy.client.connection import UpstreamConnection
from gateway.proxy.client.errors import (
    ADDRESS_NOT_ADMITTED,
    CERTIFICATE,
    REFUSED,
    TLS,
    UNREACHABLE,
    ConnectFailed,
    ConnectTimedOut,
)
from gateway.proxy.client.names import Names, Resolved
from gateway.proxy.client.settings import ConnectionSettings, TargetAddress
from gateway.proxy.client.tls import TlsContexts
from tenants.outbound.addresses import AddressFilter
from tenants.values.networks import Address

_STAGGER: Final = 0.25  # seconds before the next address is tried beside those that have not answered (RFC 8305)
_MOST_ADDRESSES: Final = 8
_SHUTDOWN_SECONDS: Final = 1.0  # of TLS

MakeConnection = Callable[[str], UpstreamConnection]


class Dialer:
    """Shared by the pools of a process, with its names and TLS contexts."""

    def __init__(
        self, names: Names | None = None, contexts: TlsContexts | None = None, addresses: AddressFilter | None = None
    ) -> None:
        """Without ``addresses`` the filter admits public ones only."""
        self._names = names or Names()
        self._contexts = contexts or TlsContexts()
        self._addresses = addresses or AddressFilter()
        self._turn = 0

    async def close(self) -> None:
        """Stop look-ups."""
        await self._names.close()

    async def resolve(self, target: TargetAddress, settings: ConnectionSettings) -> Resolved:
        """The target's addresses. Raises ConnectFailed, also if any of them is not admitted (PX1)."""
        resolved = await self._names.resolve(target.host)
        if settings.public_only and not all(map(self._addresses.admits, resolved.addresses)):
            raise ConnectFailed(ADDRESS_NOT_ADMITTED)
        return resolved

    async def connect(
        self, target: TargetAddress, settings: ConnectionSettings, make: MakeConnection
    ) -> UpstreamConnection:
        """A new connection, to an address that was checked. Raises ConnectFailed or ConnectTimedOut."""
        try:
            async with asyncio.timeout(settings.connect):
                if target.unix_path is not None:
                    return await self._connect_unix(target.unix_path, settings, make)
                context = await self._contexts.get(settings.tls) if target.tls else None
                resolved = await self.resolve(target, settings)
                return await self._connect_any(resolved.addresses, target, settings, context, make)
        except TimeoutError:
            raise ConnectTimedOut from None

    async def _connect_unix(self, path: str, settings: ConnectionSettings, make: MakeConnection) -> UpstreamConnection:
        if settings.public_only:
            raise ConnectFailed(ADDRESS_NOT_ADMITTED)
        try:
            _, connection = await asyncio.get_running_loop().create_unix_connection(lambda: make(""), path)
        except OSError as error:
            raise ConnectFailed(REFUSED) from error
        return connection

    async def _connect_any(
        self,
        addresses: Sequence[Address],
        target: TargetAddress,
        settings: ConnectionSettings,
        context: ssl.SSLContext | None,
        make: MakeConnection,
    ) -> UpstreamConnection:
        name = settings.tls.server_name or target.host.rstrip(".")

        def attempt(address: Address) -> Coroutine[None, None, UpstreamConnection]:
            return self.attempt(str(address), target.port, context, name, make)

        if len(addresses) == 1:
            return await attempt(addresses[0])
        self._turn += 1
        return await _race([partial(attempt, each) for each in _ordered(addresses, self._turn)])

    async def attempt(
        self, address: str, port: int, context: ssl.SSLContext | None, name: str, make: MakeConnection
    ) -> UpstreamConnection:
        """Connect to one address. Raises ConnectFailed."""
        tls = context is not None
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: make(address),
                address,
                port,
                ssl=context,
                server_hostname=name if tls else None,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS if tls else None,
            )
        except OSError as error:
            raise ConnectFailed(_reason(error, tls=tls)) from error
        return connection


async def _race(attempts: Sequence[Callable[[], Coroutine[None, None, UpstreamConnection]]]) -> UpstreamConnection:
    """The first that succeeds. Each starts when the one before has failed, or after a while. Raises ConnectFailed."""
    waiting = [*reversed(attempts)]
    running: set[asyncio.Task[UpstreamConnection]] = set()
    failure: BaseException | None = None
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(waiting.pop()()))
            delay = _STAGGER if waiting else None
            done, running = await asyncio.wait(running, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                failure = each.exception()
                if failure is None:
                    running |= done - {each}
                    return each.result()
        raise failure or ConnectFailed(UNREACHABLE)
    finally:
        await _abandon(running)


async def _abandon(running: set[asyncio.Task[UpstreamConnection]]) -> None:
    for each in running:
        each.cancel()
    for result in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(result, UpstreamConnection):
            result.abort()


def _ordered(addresses: Sequence[Address], turn: int) -> list[Address]:
    """Families in turn, IPv6 first, each beginning with another address every time, so that all get connections."""
    families = [[each for each in addresses if each.version == version] for version in (6, 4)]
    rotated = [each[turn % len(each) :] + each[: turn % len(each)] for each in families if each]
    mixed = chain.from_iterable(zip_longest(*rotated))
    return [each for each in mixed if each is not None][:_MOST_ADDRESSES]


def _reason(error: OSError, *, tls: bool) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return CERTIFICATE
    if isinstance(error, ssl.SSLError) or (tls and isinstance(error, ConnectionResetError)):
        return TLS
    return REFUSED if isinstance(error, ConnectionRefusedError | ConnectionResetError) else UNREACHABLE
