"""An IPv4 address mapped into IPv6 is that IPv4 address, in every network that is stored or configured."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tenants.api_keys.schemas import CreateApiKey
from tenants.values.errors import BadValue
from tenants.values.networks import plain_address, plain_network, read_network


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_a_mapped_network_is_its_ipv4_network(address: int, length: int) -> None:
    """RFC 4291 section 2.5.5.2, in each of its spellings."""
    network = IPv4Network((address, length), strict=False)
    first = int(network.network_address)
    for text in (f"::ffff:{network.network_address}", f"::FFFF:{first >> 16:x}:{first & 0xFFFF:x}"):
        assert read_network(f"{text}/{96 + length}") == network
    assert plain_address(f"::ffff:{IPv4Address(address)}") == IPv4Address(address)
    assert plain_address(f"::ffff:{IPv4Address(address)}") in network


@pytest.mark.parametrize("text", ["::/0", "2001:db8::/32", "64:ff9b::/96", "::fffe:0:0/95", "::1"])
def test_other_networks_of_ipv6_stay_what_they_are(text: str) -> None:
    assert read_network(text) == IPv6Network(text)


@pytest.mark.parametrize("text", ["fe80::1%eth0", "fe80::%eth0/64", "fe80::/64%eth0", "fe80::1%", "::ffff:10.0.0.1%1"])
def test_a_zone_id_is_refused(text: str) -> None:
    """RFC 4007 section 11: it names an interface of one host. Python's type would ignore it."""
    with pytest.raises(BadValue, match="zone id"):
        read_network(text)


@pytest.mark.parametrize("text", ["", "everywhere", "10.0.0.1/8", "::ffff:10.0.0.1/104", "10.0.0.0/33", "1"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match="CIDR"):
        read_network(text)


def test_a_stored_zone_id_counts_for_nothing_as_before() -> None:
    """A key from before zone ids were refused goes on working in its networks."""
    assert plain_network("fe80::1%eth0/128") == IPv6Network("fe80::1")


def test_a_key_shows_the_network_that_is_compared() -> None:
    made = CreateApiKey(name="x", role="viewer", allowed_cidrs=["::ffff:10.0.0.0/104", "2001:DB8::/32", "::1"])
    assert made.allowed_cidrs == ["10.0.0.0/8", "2001:db8::/32", "::1/128"]
    with pytest.raises(ValidationError) as raised:
        CreateApiKey(name="x", role="viewer", allowed_cidrs=["::1", "fe80::1%eth0"])
    assert [(each["loc"], each["type"]) for each in raised.value.errors()] == [(("allowed_cidrs", 1), "bad_network")]
