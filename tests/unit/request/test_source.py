"""The source address of a request, and what counts as one source (TH3)."""

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.request.source import SourceReader, source_bucket
from tests.asgi import HOST, http_scope

_PROXIES = ["10.0.0.0/8", "2001:db8:ffff::/48"]


def _source(peer: str, *forwarded: str, trusted: list[str]) -> str:
    headers = [HOST, *((b"x-forwarded-for", each.encode("latin-1")) for each in forwarded)]
    return SourceReader(trusted)(http_scope(headers=headers, client=(peer, 4711)))


@pytest.mark.parametrize(
    ("peer", "forwarded", "source"),
    [
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),  # not a trusted proxy: the peer is the source
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4, 198.51.100.1"], "198.51.100.1"),  # the left one is claimed by the client
        ("10.0.0.1", ["1.2.3.4, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4", "198.51.100.1"], "198.51.100.1"),  # two fields are one list
        ("10.0.0.1", ["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),  # an invalid address ends the trusted part
        ("10.0.0.1", ["198.51.100.1, nonsense, 10.3.3.3"], "10.3.3.3"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:5544"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::7]:5544"], "2001:db8::7"),
        ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("::ffff:203.0.113.7", [], "203.0.113.7"),
        ("2001:db8:ffff::1", ["2001:DB8:0:0::0009"], "2001:db8::9"),
        ("testclient", ["198.51.100.1"], "testclient"),
    ],
)
def test_only_configured_proxies_are_trusted_from_right_to_left(peer: str, forwarded: list[str], source: str) -> None:
    """TH3."""
    assert _source(peer, *forwarded, trusted=_PROXIES) == source


@pytest.mark.parametrize("proxies", ["::ffff:10.0.0.0/104", "::ffff:10.0.0.1", "::ffff:a00:1/128"])
@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1"])
def test_a_mapped_network_of_proxies_means_its_ipv4_network(proxies: str, peer: str) -> None:
    """TH3: RFC 4291 section 2.5.5.2."""
    assert _source(peer, "198.51.100.1", trusted=[proxies]) == "198.51.100.1"
    assert _source("11.0.0.1", "198.51.100.1", trusted=[proxies]) == "11.0.0.1"


def test_without_configured_proxies_the_header_is_ignored() -> None:
    """TH3: by default no proxy is trusted, not even loopback."""
    assert _source("127.0.0.1", "198.51.100.1", trusted=[]) == "127.0.0.1"


def test_peers_without_an_address_are_one_unknown_source() -> None:
    assert SourceReader(_PROXIES)(http_scope(client=None)) == "unknown"


def test_the_number_of_hops_is_bounded() -> None:
    """TH3: and with it the work for one header."""
    chain = ", ".join(["198.51.100.1", *["10.0.0.2"] * 3000])
    assert _source("10.0.0.1", chain, trusted=_PROXIES) == "10.0.0.2"


def test_an_invalid_proxy_setting_fails_the_start() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        SourceReader(["proxy.internal"])


_networks = st.integers(0x2001 << 48, (0x2001 << 48) + 2**40)


@given(_networks, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_addresses_of_one_ipv6_64_are_one_source(network: int, one: int, other: int) -> None:
    """TH3: one host can use a whole /64; the neighbouring /64s are other sources."""
    bucket = source_bucket(str(IPv6Address(network << 64 | one)))
    assert bucket == source_bucket(str(IPv6Address(network << 64 | other)))
    assert bucket != source_bucket(str(IPv6Address((network + 1) << 64 | one)))


@pytest.mark.parametrize(
    ("source", "bucket"), [("198.51.100.1", "198.51.100.1"), ("unknown", "unknown"), ("::ffff:1.2.3.4", "1.2.3.4")]
)
def test_other_sources_are_separate(source: str, bucket: str) -> None:
    assert source_bucket(source) == bucket
