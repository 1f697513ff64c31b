"""The source address of a request: the socket's peer, or the client of trusted proxies (TH3).

``X-Forwarded-For`` is read from right to left: each trusted proxy vouches for the address to its left, and the first
address that is not a trusted proxy's is the client's. The client claims everything further left.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_network

from starlette.types import Scope

from tenants.values.networks import Address, Network, plain_address, plain_network

UNKNOWN = "unknown"  # a peer without an address: a Unix socket
_MAX_HOPS = 16  # proxies in a row: bounds the work for a long header
_CACHE_SIZE = 4096
_HOST_PREFIX, _SITE_PREFIX = 64, 48  # bits of an IPv6 address


class SourceReader:
    """Finds the client's address. ``trusted`` are addresses or networks of proxies; empty trusts none.

    Raises ValueError for anything else.
    """

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._trusted: tuple[Network, ...] = tuple(plain_network(each) for each in trusted)
        self._read = lru_cache(maxsize=_CACHE_SIZE)(self._behind_proxies)
        self._read_named = lru_cache(maxsize=_CACHE_SIZE)(self._named_in)

    def __call__(self, scope: Scope) -> str:
        """The address in canonical form, or ``unknown``."""
        peer = scope.get("client")
        if not peer or not peer[0]:
            return UNKNOWN
        forwarded = b""
        if self._trusted:
            forwarded = b",".join([value for name, value in scope["headers"] if name == b"x-forwarded-for"])
        return self._read(peer[0], forwarded)

    def named(self, forwarded: bytes) -> str | None:
        """The client that a proxy names in X-Forwarded-For, when the proxy itself is believed; None without one.

        The last address is the proxy's own word. Those before it count while they are behind trusted proxies.
        """
        return self._read_named(forwarded)

    def of_peer(self, peer: str) -> str | None:
        """The peer's own address in canonical form; None for a trusted proxy, which sends for many clients."""
        address = parse_address(peer)
        return None if address is None or self._trusts(address) else str(address)

    def _behind_proxies(self, peer: str, forwarded: bytes) -> str:
        address = parse_address(peer)
        if address is None:
            return peer
        if not forwarded or not self._trusts(address):
            return str(address)
        for entry in _right_to_left(forwarded):
            forwarded_address = parse_address(entry)
            if forwarded_address is None:
                break
            address = forwarded_address
            if not self._trusts(forwarded_address):
                break
        return str(address)

    def _named_in(self, forwarded: bytes) -> str | None:
        found: Address | None = None
        for entry in _right_to_left(forwarded):
            address = parse_address(entry)
            if address is None:
                break
            found = address
            if not self._trusts(address):
                break
        return None if found is None else str(found)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _right_to_left(forwarded: bytes) -> Sequence[str]:
    return [each.strip() for each in forwarded.decode("latin-1").rsplit(",", _MAX_HOPS)[::-1]][:_MAX_HOPS]


def parse_address(text: str) -> Address | None:
    """Parse an address, also IPv4 mapped into IPv6 and with a port; None for anything else."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = plain_address(text)
    except ValueError:
        return None
    return None if isinstance(address, IPv6Address) and address.scope_id else address


@lru_cache(maxsize=_CACHE_SIZE)
def source_bucket(source: str) -> str:
    """The unit that limits count: an IPv4 address, or the /64 of an IPv6 one, all of which one host may use."""
    return _ipv6_network(source, _HOST_PREFIX)


def source_site(source: str) -> str:
    """What one party usually holds: an IPv4 address, or the /48 of an IPv6 one (RFC 6177)."""
    return _ipv6_network(source, _SITE_PREFIX)


def _ipv6_network(source: str, prefix: int) -> str:
    address = parse_address(source)
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), prefix), strict=False))
    return source if address is None else str(address)
