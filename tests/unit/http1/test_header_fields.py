"""Validation of Host (PX5)."""

import pytest

from gateway.http1.header_fields import host_validator


@pytest.mark.parametrize(
    "host",
    [
        b"gateway.test",
        b"GATEWAY.test:8443",
        b"127.0.0.1:8000",
        b"[::1]:8000",
        b"[2001:db8::1]",
        b"localhost",
        b"a_b",
        b"a%20",
    ],
)
def test_valid_hosts_are_accepted_without_an_allow_list(host: bytes) -> None:
    """PX5 rejects invalid requests, not unusual ones."""
    assert host_validator()(host)


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"a b",
        b"a/b",
        b"a@b",
        b"a:80a",
        b"a:",
        b":80",
        b"a:65536",
        b"[::1",
        b"[]",
        b"[1.2.3.4]",
        b"[::1]80",
        b"a%2",
        b"\xe9",
    ],
)
def test_invalid_hosts_are_rejected(host: bytes) -> None:
    """PX5."""
    assert not host_validator()(host)


def test_only_allowed_hosts_are_accepted_with_an_allow_list() -> None:
    """PX5: with or without port, case-insensitive; links built from a forged Host would lead to another site."""
    is_valid = host_validator(["Gateway.test", "[::1]"])
    assert all(is_valid(host) for host in (b"gateway.test", b"GATEWAY.TEST:8000", b"[::1]", b"[::1]:8000"))
    assert not any(is_valid(host) for host in (b"evil.test", b"gateway.test.evil.test", b"127.0.0.1", b""))
