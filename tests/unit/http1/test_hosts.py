"""Which values of Host are answered (PX5)."""

import pytest

from gateway.http1.hosts import host_check


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
def test_every_spelling_of_a_host_passes_where_any_host_may(host: bytes) -> None:
    """PX5 refuses bad requests, not unusual ones."""
    assert host_check()(host)


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
def test_what_is_no_host_is_refused(host: bytes) -> None:
    """PX5."""
    assert not host_check()(host)


def test_only_configured_hosts_pass_where_some_are() -> None:
    """PX5: a link or a redirect built from a forged Host would lead away; with or without port, in any case."""
    accepts = host_check(["Gateway.test", "[::1]"])
    assert all(accepts(host) for host in (b"gateway.test", b"GATEWAY.TEST:8000", b"[::1]", b"[::1]:8000"))
    assert not any(accepts(host) for host in (b"evil.test", b"gateway.test.evil.test", b"127.0.0.1", b""))
