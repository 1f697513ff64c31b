"""Where a request comes from: the socket's peer, or what configured proxies say of it (TH3).

``X-Forwarded-For`` is read from the right: each trusted proxy vouches for the address to its left, and the first
address that is not a trusted proxy's is the client's. What stands further left is its own claim and is not read.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import Scope

UNKNOWN = "unknown"  # a peer without an address: a Unix socket
_MOST_HOPS = 16  # proxies in a row; bounds the work that a long header makes
_REMEMBERED = 4096

Address = IPv4Address | IPv6Address


class SourceReader:
    """Finds the client's address. ``trusted`` are addresses or networks of proxies in front of us; empty trusts none.

    Raises ValueError when one of them is neither.
    """

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._trusted: tuple[IPv4Network | IPv6Network, ...] = tuple(ip_network(each) for each in trusted)
        self._read = lru_cache(maxsize=_REMEMBERED)(self._behind_proxies)

    def __call__(self, scope: Scope) -> str:
        """The address in its canonical spelling, or ``unknown``."""
        peer = scope.get("client")
        if not peer or not peer[0]:
            return UNKNOWN
        forwarded = b""
        if self._trusted:
            forwarded = b",".join([value for name, value in scope["headers"] if name == b"x-forwarded-for"])
        return self._read(peer[0], forwarded)

    def _behind_proxies(self, peer: str, forwarded: bytes) -> str:
        address = parse_address(peer)
        if address is None:
            return peer
        if not forwarded or not self._trusts(address):
            return str(address)
        for claim in _from_the_right(forwarded):
            claimed = parse_address(claim)
            if claimed is None:
                break
            address = claimed
            if not self._trusts(claimed):
                break
        return str(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _from_the_right(forwarded: bytes) -> Sequence[str]:
    return [each.strip() for each in forwarded.decode("latin-1").rsplit(",", _MOST_HOPS)[::-1]][:_MOST_HOPS]


def parse_address(text: str) -> Address | None:
    """The address, an IPv4 one also when written inside IPv6 or with a port; None when it is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or (None if address.scope_id else address)
    return address


@lru_cache(maxsize=_REMEMBERED)
def source_bucket(source: str) -> str:
    """What is counted as one sender: an IPv4 address, or the /64 of an IPv6 one, which a single host can roam."""
    address = parse_address(source)
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), 64), strict=False))
    return source if address is None else str(address)
