"""Streams of proxied routes: unbuffered, ended with their credential (ID5) and with the server (OP1)."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from tenants.credentials import CredentialExpired, CredentialRevoked
from tenants.errors import Forbidden, Unavailable
from tenants.principal import TenantStatus
from tests.fixtures.principals import TENANT, principal_of_key
from tests.fixtures.proxied import Visit, proxied, scripted
from tests.fixtures.websockets import SWITCHED, World, websockets_to
from tests.raw_http import RawClient, connected

_GET = b"GET /events HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
_DOWNLOAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
_EVENT = b"data: one\n\n"
_CHUNK = b"b\r\n" + _EVENT + b"\r\n"


class _Stream:
    """An upstream that sends what it is told, and then waits for the gateway to leave."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.go_on = [True] * len(pieces)
        self.left = 0

    def __call__(self, visit: Visit) -> None:
        visit.request()
        for at, piece in enumerate(self.pieces):
            while not self.go_on[at]:
                time.sleep(0.005)
            visit.send(piece)
        visit.wait_until_closed()
        self.left += 1


def test_events_are_passed_on_as_they_come() -> None:
    """PX11: the first one is read before the second one is sent."""
    stream = _Stream(_EVENTS + _CHUNK, _CHUNK)
    stream.go_on[1] = False
    with scripted(stream) as upstream, proxied(upstream) as server, connected(server.port) as client:
        client.send(_GET)
        assert client.read_until(_CHUNK).endswith(_CHUNK)
        stream.go_on[1] = True
        assert client.read_until(_CHUNK) == _CHUNK
        client.socket.close()
        assert server.http1.wait_until(lambda: stream.left == 1)


def test_a_long_poll_waits_as_long_as_its_route_says() -> None:
    """PX8: ``first_byte_seconds`` replaces the deadline of the upstream, which is shorter here."""
    stream = _Stream(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    stream.go_on[0] = False
    with scripted(stream) as upstream, proxied(upstream, first_byte_seconds=0.3) as server:
        with connected(server.port) as client:
            client.send(_GET)
            assert client.response().status == 504
        with connected(server.port) as client:
            client.send(_GET)
            stream.go_on[0] = True
            assert client.response().body == b"ok"


def test_a_stream_of_events_ends_in_order_with_the_server() -> None:
    """OP1: its clients connect again; the upstream's request ends. Another answer may go on until it is complete."""
    stream, download = _Stream(_EVENTS + _CHUNK), _Stream(_DOWNLOAD + b"a" * 999_999, b"a")
    with scripted(stream) as upstream, proxied(upstream) as server, connected(server.port) as client:
        client.send(_GET)
        assert client.read_until(_CHUNK).endswith(_CHUNK)
        server.http1.call_soon(server.http1.connection.shutdown)
        assert client.read_exactly(5) == b"0\r\n\r\n"
        assert client.closed()
        assert server.http1.wait_until(lambda: stream.left == 1 and bool(server.lines))
        assert (server.lines[0]["status"], server.lines[0]["cut_short"]) == (200, "shutdown")
    download.go_on[1] = False
    with scripted(download) as upstream, proxied(upstream) as server, connected(server.port) as client:
        client.send(_GET)
        client.read_until(b"aaa")
        server.http1.call_soon(server.http1.connection.shutdown)
        download.go_on[1] = True
        assert client.read_exactly(999_997) == b"a" * 999_997


@dataclass(frozen=True)
class _Ending:
    """What happens to a credential or a route while a stream is open."""

    happens: Callable[[World], None]
    reason: str


def _ends(**changes: object) -> Callable[[World], None]:
    def happen(world: World) -> None:
        for name, value in changes.items():
            setattr(world if hasattr(world, name) else world.credentials, name, value)

    return happen


_SUSPENDED = principal_of_key(tenant=replace(TENANT, status=TenantStatus.SUSPENDED))
_ENDINGS = {
    "revoked": _Ending(_ends(subject=CredentialRevoked(), cached=False), "credential_revoked"),
    "expired": _Ending(_ends(subject=CredentialExpired()), "credential_expired"),
    "suspended": _Ending(_ends(subject=_SUSPENDED, cached=False), "tenant_suspended"),
    "permission lost": _Ending(_ends(refusal=Forbidden()), "forbidden"),
    "route changed": _Ending(_ends(in_force=False), "route_changed"),
}


@contextmanager
def _open(stream: _Stream) -> Iterator[tuple[World, RawClient]]:
    with scripted(stream) as upstream, websockets_to(upstream) as world:
        client = RawClient(world.server.port)
        try:
            yield world, client
        finally:
            client.socket.close()


@pytest.mark.parametrize("ending", _ENDINGS.values(), ids=_ENDINGS.keys())
def test_a_websocket_ends_with_what_it_was_opened_by(ending: _Ending) -> None:
    """ID5: with 1008, two seconds after the change at the latest."""
    stream = _Stream(SWITCHED.encode() + b"\r\n")
    with scripted(stream) as upstream, websockets_to(upstream) as world:
        client = world.opened()
        began = time.monotonic()
        ending.happens(world)
        frame = client.read_exactly(2 + 2 + len(ending.reason))
        assert time.monotonic() - began < 2
        assert (frame[:1], int.from_bytes(frame[2:4]), frame[4:].decode()) == (b"\x88", 1008, ending.reason)
        client.socket.close()
        assert world.server.http1.wait_until(lambda: stream.left == 1 and bool(world.server.lines))
        assert world.server.lines[0]["cut_short"] == ending.reason


@pytest.mark.parametrize("pieces", [(_EVENTS + _CHUNK,), (_DOWNLOAD + _EVENT,), ()], ids=["events", "download", "poll"])
def test_an_answer_that_lasts_ends_with_its_credential(pieces: tuple[bytes, ...]) -> None:
    """ID5, PX9: its end is not a clean one; the upstream's request ends, too."""
    stream = _Stream(*pieces)
    with _open(stream) as (world, client):
        client.send(_GET)
        assert world.server.http1.wait_until(lambda: bool(world.contexts))
        began = time.monotonic()
        _ENDINGS["revoked"].happens(world)
        assert world.server.http1.wait_until(lambda: stream.left == 1 and bool(world.server.lines))
        assert time.monotonic() - began < 2
        assert b"0\r\n\r\n" not in client.rest()
        assert world.server.lines[0]["cut_short"] == "credential_revoked"


@pytest.mark.parametrize("found", [Unavailable(), None], ids=["not looked up", "looked up"])
def test_a_stream_goes_on_while_nothing_says_that_its_credential_has_ended(found: Unavailable | None) -> None:
    """ID5: the cache forgets a principal, or the database is down. One look-up at a time, however long it lasts."""
    stream = _Stream(SWITCHED.encode() + b"\r\n")
    with scripted(stream) as upstream, websockets_to(upstream) as world:
        client = world.opened()
        if found is not None:
            world.credentials.subject = found
        world.credentials.cached = False
        assert world.server.http1.wait_until(lambda: world.credentials.loads >= 2)
        assert len(world.sockets) == 1
        client.socket.close()
