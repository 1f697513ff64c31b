"""Invalid requests over a real socket get an error response and never reach the application (PX5, PX7, DA2)."""

from collections.abc import Iterator

import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from gateway.http1.rules import Rule
from tests.fixtures.http1 import Http1Server, run_server
from tests.integration.http1.raw_requests import BODIES, HEADS, HOST, VALID
from tests.raw_http import RawResponse, connected

_CODES = {
    400: "malformed_request",
    413: "payload_too_large",
    414: "uri_too_long",
    431: "headers_too_large",
    501: "method_not_implemented",
}
_NEXT = b"GET /after HTTP/1.1\r\n" + HOST + b"\r\n"


async def _count_body(_scope: Scope, receive: Receive, send: Send) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message["body"]), message["more_body"]
    body = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def server() -> Iterator[Http1Server]:
    with run_server(_count_body) as server:
        yield server


def _exchange(server: Http1Server, data: bytes, piece: int | None = None) -> tuple[RawResponse, bool]:
    server.scopes.clear()
    with connected(server.port) as client:
        client.send(data, piece)
        return client.response(), client.closed()


def _assert_rejected(response: RawResponse, expected: Rule | int) -> None:
    """An error of this status or, for a broken rule, 400 with the constant text of the rule."""
    status = 400 if isinstance(expected, Rule) else expected
    assert response.status == status
    if isinstance(expected, Rule):
        assert response.problem["detail"] == f"The request is not valid HTTP. {expected.value}"
    assert response.problem["code"] == _CODES[status]
    assert response.problem["request_id"] == response.headers["x-request-id"]
    assert response.headers["connection"] == "close"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["strict-transport-security"]


def _pieces(data: bytes) -> tuple[int | None, ...]:
    return None, 1 if len(data) < 1_000 else 997


@pytest.mark.parametrize(("data", "expected"), HEADS.values(), ids=HEADS.keys())
def test_an_invalid_head_is_rejected_before_the_application(
    server: Http1Server, data: bytes, expected: Rule | int
) -> None:
    """PX5, PX7: the answer names the rule, in one piece and byte by byte; the rest of the connection is not parsed."""
    for piece in _pieces(data):
        response, closed = _exchange(server, data + _NEXT, piece)
        _assert_rejected(response, expected)
        assert closed
        assert server.scopes == []


@pytest.mark.parametrize(("data", "expected"), BODIES.values(), ids=BODIES.keys())
def test_an_invalid_body_fails_the_request_and_closes_the_connection(
    server: Http1Server, data: bytes, expected: Rule | int
) -> None:
    """PX5, PX7, DA2: the application gets the error, and the following bytes are not parsed as a request."""
    for piece in _pieces(data):
        response, closed = _exchange(server, data + _NEXT, piece)
        _assert_rejected(response, expected)
        assert closed
        assert [scope["path"] for scope in server.scopes] == ["/read"]


@pytest.mark.parametrize("data", VALID.values(), ids=VALID.keys())
def test_a_valid_request_and_the_next_one_are_served(server: Http1Server, data: bytes) -> None:
    """PX5 rejects invalid requests, not unusual ones."""
    for piece in _pieces(data):
        server.scopes.clear()
        with connected(server.port) as client:
            client.send(data + _NEXT, piece)
            assert client.response().status == 200
            if b"HTTP/1.0" not in data:
                assert client.response().status == 200
                assert [scope["path"] for scope in server.scopes][1:] == ["/after"]


@pytest.mark.parametrize("before", [b"", b"a", b"abc"], ids=["bare", "declared", "chunked"])
def test_every_request_of_a_connection_is_validated(server: Http1Server, before: bytes) -> None:
    """PX5: also after a body, which a desynchronised parser would parse as a request."""
    framing = {
        b"": b"\r\n",
        b"a": b"Content-Length: 44\r\n\r\n" + b"GET /hidden HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
        b"abc": b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    }[before]
    good = b"POST /read HTTP/1.1\r\n" + HOST + framing
    server.scopes.clear()
    with connected(server.port) as client:
        client.send(good + good + HEADS["obs-fold with a space"][0] + _NEXT)
        assert client.response().status == client.response().status == 200
        _assert_rejected(client.response(), Rule.FOLDED_LINE)
        assert client.closed()
    assert [scope["path"] for scope in server.scopes] == ["/read", "/read"]


def test_a_rejected_request_leaves_one_log_line_without_its_content(server: Http1Server) -> None:
    """PX5, SE2: an access log line with the reason and the request id of the response."""
    request = b"GET /tn_live_secret HTTP/1.1\r\nHost: a b\r\nX-API-Key: tn_live_0123456789\r\n\r\n"
    with capture_logs() as lines:
        response, _ = _exchange(server, request)
    assert len(lines) == 1
    assert lines[0].pop("milliseconds") >= 0
    assert lines[0] == {
        "event": "request",
        "log_level": "info",
        "request_id": response.headers["x-request-id"],
        "method": None,
        "route": None,
        "status": 400,
        "source": "127.0.0.1",
        "code": "malformed_request",
        "detail": "host",
    }


def test_a_truncated_head_is_rejected_at_eof(server: Http1Server) -> None:
    """PX5: without waiting for the timeout."""
    with connected(server.port) as client:
        client.send(b"GET / HTTP/1.1\r\n")
        client.socket.shutdown(1)
        _assert_rejected(client.response(), Rule.HEAD_INCOMPLETE)
        assert client.closed()
