"""Addresses and networks, IPv4 mapped into IPv6 as the IPv4 that it means (RFC 4291 section 2.5.5.2).

A network has no zone id (RFC 4007 section 11), which names an interface of one host. Python's ``ipaddress`` accepts one
and ignores it in comparisons.
"""

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, Field

from tenants.values.errors import BadValue, with_pydantic_errors

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")
_LONGEST = 60  # characters: a mapped address with a prefix length has up to 51


def plain_address(text: str) -> Address:
    """An address as it is compared. Raises ValueError."""
    address = ip_address(text)
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def plain_network(text: str) -> Network:
    """A network as it is compared, its zone id dropped. Raises ValueError."""
    address, slash, length = text.partition("/")
    network = ip_network(address.partition("%")[0] + slash + length)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped_bits = network.prefixlen - _MAPPED.prefixlen
        return IPv4Network((int(network.network_address) & 0xFFFF_FFFF, mapped_bits))
    return network


def common_networks(some: Iterable[Network], others: Collection[Network]) -> tuple[Network, ...]:
    """The networks whose addresses are in one of ``some`` and in one of ``others``; empty when there are none."""
    smaller = (_smaller(one, other) for one in some for other in others)
    return tuple(dict.fromkeys(network for network in smaller if network is not None))


def _smaller(one: Network, other: Network) -> Network | None:
    """Two networks are disjoint, or one has the other in it."""
    if contains(other, one):
        return one
    return other if contains(one, other) else None


def contains(network: Network, other: Network) -> bool:
    """Whether all addresses of ``other`` are the network's, too."""
    if isinstance(network, IPv4Network) and isinstance(other, IPv4Network):
        return other.subnet_of(network)
    return isinstance(network, IPv6Network) and isinstance(other, IPv6Network) and other.subnet_of(network)


def read_network(text: str) -> Network:
    """An address or a network in CIDR notation, as somebody writes it. Raises BadValue."""
    if "%" in text:
        raise BadValue(
            "bad_network", "Must not have a zone id (% and what follows it): it means something on one host."
        )
    try:
        return plain_network(text)
    except ValueError as error:
        message = "Must be an IP address or a network in CIDR notation without host bits."
        raise BadValue("bad_network", message) from error


def _canonical(text: str) -> str:
    return str(read_network(text))


# In a model: the canonical text of the network.
NetworkText = Annotated[str, Field(max_length=_LONGEST), AfterValidator(with_pydantic_errors(_canonical))]
