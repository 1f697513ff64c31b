"""Validation of Host (PX5)."""

import pytest

from gateway.http1.header_fields import is_valid_host


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
def test_valid_hosts_are_accepted(host: bytes) -> None:
    """PX5 rejects invalid requests, not unusual ones."""
    assert is_valid_host(host)


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
    assert not is_valid_host(host)
