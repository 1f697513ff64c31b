"""Hostile bytes over a real socket: refused where they arrive, with an answer that can be read (PX5, PX7, DA2)."""

from collections.abc import Iterator

import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from tests.fixtures.http1 import EdgeServer, serving
from tests.integration.http1.raw_requests import BODIES, GOOD, HEADS, HOST
from tests.raw_http import RawAnswer, connected

_CODES = {400: "malformed_request", 413: "payload_too_large", 414: "uri_too_long", 431: "headers_too_large"}
_GOOD = b"GET /after HTTP/1.1\r\n" + HOST + b"\r\n"


async def _reads(_scope: Scope, receive: Receive, send: Send) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message["body"]), message["more_body"]
    body = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def edge() -> Iterator[EdgeServer]:
    with serving(_reads) as server:
        yield server


def _ask(edge: EdgeServer, data: bytes, piece: int | None = None) -> tuple[RawAnswer, bool]:
    edge.seen.clear()
    with connected(edge.port) as client:
        client.send(data, piece)
        return client.answer(), client.closed()


def _assert_refused(answer: RawAnswer, status: int) -> None:
    assert answer.status == status
    assert answer.problem["code"] == _CODES[status]
    assert answer.problem["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["strict-transport-security"]


def _pieces(data: bytes) -> tuple[int | None, ...]:
    return None, 1 if len(data) < 1_000 else 997


@pytest.mark.parametrize(("data", "status"), HEADS.values(), ids=HEADS.keys())
def test_a_bad_head_is_answered_and_never_passed_on(edge: EdgeServer, data: bytes, status: int) -> None:
    """PX5, PX7: in one piece and byte by byte, and what follows it on the connection is not looked at."""
    for piece in _pieces(data):
        answer, closed = _ask(edge, data + _GOOD, piece)
        _assert_refused(answer, status)
        assert closed
        assert edge.seen == []


@pytest.mark.parametrize(("data", "status"), BODIES.values(), ids=BODIES.keys())
def test_a_bad_body_ends_the_request_and_the_connection(edge: EdgeServer, data: bytes, status: int) -> None:
    """PX5, PX7, DA2: whoever reads the body hears of it, and what follows is not taken for a request."""
    for piece in _pieces(data):
        answer, closed = _ask(edge, data + _GOOD, piece)
        _assert_refused(answer, status)
        assert closed
        assert [scope["path"] for scope in edge.seen] == ["/read"]


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD.keys())
def test_what_is_well_formed_passes_and_so_does_the_next(edge: EdgeServer, data: bytes) -> None:
    """PX5 refuses bad requests, not unusual ones."""
    for piece in _pieces(data):
        edge.seen.clear()
        with connected(edge.port) as client:
            client.send(data + _GOOD, piece)
            assert client.answer().status == 200
            if b"HTTP/1.0" not in data:
                assert client.answer().status == 200
                assert [scope["path"] for scope in edge.seen][1:] == ["/after"]


@pytest.mark.parametrize("before", [b"", b"a", b"abc"], ids=["bare", "declared", "chunked"])
def test_each_of_several_requests_on_one_connection_is_checked(edge: EdgeServer, before: bytes) -> None:
    """PX5: also behind a body, where a parser that lost its place would take the body for a request."""
    framing = {
        b"": b"\r\n",
        b"a": b"Content-Length: 44\r\n\r\n" + b"GET /hidden HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
        b"abc": b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    }[before]
    good = b"POST /read HTTP/1.1\r\n" + HOST + framing
    edge.seen.clear()
    with connected(edge.port) as client:
        client.send(good + good + HEADS["obs-fold with a space"][0] + _GOOD)
        assert client.answer().status == client.answer().status == 200
        _assert_refused(client.answer(), 400)
        assert client.closed()
    assert [scope["path"] for scope in edge.seen] == ["/read", "/read"]


def test_a_refusal_leaves_one_line_and_nothing_of_the_request(edge: EdgeServer) -> None:
    """PX5, SE2: in the shape of the access log, with why, under the id that the caller was given."""
    with capture_logs() as lines:
        answer, _ = _ask(edge, b"GET /tn_live_secret HTTP/1.1\r\nHost: a b\r\nX-API-Key: tn_live_0123456789\r\n\r\n")
    assert len(lines) == 1
    assert lines[0].pop("milliseconds") >= 0
    assert lines[0] == {
        "event": "request",
        "log_level": "info",
        "request_id": answer.headers["x-request-id"],
        "method": None,
        "route": None,
        "status": 400,
        "source": "127.0.0.1",
        "code": "malformed_request",
        "detail": "Host is missing, is not a host, or is not one of ours",
    }


def test_a_head_that_ends_too_early_is_answered(edge: EdgeServer) -> None:
    """PX5: a client that has said all that it will say need not wait for a deadline."""
    with connected(edge.port) as client:
        client.send(b"GET / HTTP/1.1\r\n")
        client.socket.shutdown(1)
        _assert_refused(client.answer(), 400)
        assert client.closed()


def test_only_configured_hosts_are_answered_where_some_are() -> None:
    """PX5: with or without a port, in any case; a link built from a forged Host would lead away."""
    with serving(_reads, hosts=["Gateway.test", "[::1]"]) as edge:
        for host, status in ((b"GATEWAY.test:80", 200), (b"[::1]:80", 200), (b"other.test", 400), (b"127.0.0.1", 400)):
            with connected(edge.port) as client:
                client.send(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
                assert client.answer().status == status
