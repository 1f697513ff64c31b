"""The addresses that a URL of a tenant may reach: public ones, and networks that the deployment allows (PX1).

Without this rule a tenant could make the gateway ask its own database, its neighbours, or the metadata service of a
cloud (169.254.169.254).
"""

import asyncio
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from tenants.values.networks import Address, Network, plain_address, plain_network

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits
_DOCUMENTATION = IPv6Network("3fff::/20")  # RFC 9637, which older versions of Python do not know
_THREADS = 8  # look-ups at once: a slow name server of one tenant must not occupy the loop's own threads


class AddressRefused(Exception):
    """The host has an address that tenants' URLs must not reach."""


class HostUnknown(Exception):
    """The host name has no address, or could not be looked up."""


def is_public(address: Address) -> bool:
    """Whether the address is one of the public internet, also where it contains an IPv4 address."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    inner = _inner(address)
    if inner is not None:
        return is_public(inner)
    return address in _GLOBAL_UNICAST and address.is_global and address.teredo is None and address not in _DOCUMENTATION


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to this one go to."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


class AddressFilter:
    """Looks a host up, and returns addresses to connect to: a second look-up could give others (DNS rebinding)."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        """``allowed`` are networks that may be reached though they are not public. Raises ValueError."""
        self._allowed: tuple[Network, ...] = tuple(plain_network(each) for each in allowed)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="outbound-dns")

    def admits(self, address: Address) -> bool:
        """Whether a tenant's URL may reach the address."""
        return is_public(address) or any(address in network for network in self._allowed)

    async def resolve(self, host: str, port: int) -> list[Address]:
        """The addresses of the host, each admitted. Raises HostUnknown, and AddressRefused if one is not admitted."""
        look_up = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, port)
        found = await look_up
        if not found:
            raise HostUnknown(host)
        if not all(self.admits(address) for address in found):
            raise AddressRefused(host)
        return found

    def close(self) -> None:
        """Stop the threads; a look-up that runs finishes."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int) -> list[Address]:
    """By the system's resolver, which also reads spellings such as ``0x7f.1`` as it would to connect."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(plain_address(str(entry[4][0])) for entry in found))
    except (OSError, UnicodeError, ValueError):
        return []
