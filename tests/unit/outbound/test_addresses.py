"""Which addresses URLs of tenants may reach."""

import pytest

from tenants.outbound.addresses import AddressFilter, AddressRefused, HostUnknown, is_public
from tenants.values.networks import plain_address

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808", "2002:808:808::1"])
def test_public_addresses_may_be_reached(address: str) -> None:
    assert is_public(plain_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 - an address that must be refused
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.1.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2001::1",
        "2001:db8::1",
        "2002:a00:1::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "ff02::1",
    ],
)
def test_all_others_are_refused(address: str) -> None:
    """PX1: private, link-local, shared, reserved, multicast, and IPv6 that contains such an IPv4 address."""
    assert not is_public(plain_address(address))


async def test_every_address_of_a_host_must_be_admitted() -> None:
    """PX1: spellings of an address are what the system makes of them."""
    strict, local = AddressFilter(), AddressFilter(["127.0.0.0/8", "::1"])
    for host in ("127.0.0.1", "0x7f.1", "2130706433", "localhost", "::1", "::ffff:127.0.0.1"):
        with pytest.raises(AddressRefused):
            await strict.resolve(host, 443)
    assert str((await local.resolve("127.1", 443))[0]) == "127.0.0.1"
    for host in ("nothing.invalid", "", "a" * 300, "\u2028"):
        with pytest.raises(HostUnknown):
            await strict.resolve(host, 443)
    strict.close()
    local.close()
