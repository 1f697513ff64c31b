"""Connection handling: pipelining, bodies, half-closed and disconnected clients, shutdown (PX5, PX9, OP1)."""

import asyncio
import socket
from collections.abc import Callable

import pytest
from starlette.types import Receive, Scope, Send

from gateway.http1.timeouts import Limits
from tests.fixtures.http1 import BODY_LIMIT, StartServer
from tests.integration.http1.applications import Held, body, count_body, length, responds, start, stream
from tests.raw_http import RawClient, connected

_GET = b"GET %b HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
_POST = b"POST / HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: %d\r\n%b\r\n"
_EXPECT = b"Expect: 100-continue\r\n"
_OK = responds(start(200, length(2)), body(b"ok"))


def test_pipelined_requests_are_served_in_order(start_server: StartServer) -> None:
    """RFC 9112 section 9.3.2: one at a time."""
    app = Held()
    server = start_server(app)
    with connected(server.port) as client:
        client.send(b"".join(_GET % b"/%d" % number for number in range(5)))
        assert server.wait_until(lambda: len(server.scopes) == 1)
        server.call_soon(app.release.set)
        assert [client.response().body for _ in range(5)] == [b"/0", b"/1", b"/2", b"/3", b"/4"]


def test_input_during_a_request_is_buffered_within_a_bound(start_server: StartServer) -> None:
    """PX11: backpressure reaches the client."""
    app = Held()
    server = start_server(app)
    with connected(server.port) as client:
        client.send(_GET % b"/first")
        client.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            client.socket.sendall(_GET % b"/more" * 1_000_000)
        assert len(server.connection._buffer) < 1_000_000


def test_an_unread_body_is_buffered_within_a_bound(start_server: StartServer) -> None:
    """PX11."""
    app = Held()
    large = 50_000_000
    server = start_server(app, body_limit=large)
    with connected(server.port) as client:
        client.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            client.socket.sendall(_POST % (large, b"") + bytes(large))
        assert server.connection.cycle._buffered_bytes < 1_000_000


def test_an_early_response_keeps_the_connection_in_sync(start_server: StartServer) -> None:
    """PX5: the rest of the body is skipped, and the next request is parsed after it."""
    server = start_server(_OK)
    with connected(server.port) as client:
        client.send(_POST % (BODY_LIMIT, b"") + b"a" * 10)
        assert client.response().body == b"ok"
        client.send(b"a" * (BODY_LIMIT - 10) + _GET % b"/next")
        assert client.response().body == b"ok"
        assert [scope["path"] for scope in server.scopes] == ["/", "/next"]


def test_a_client_that_is_still_sending_receives_the_error_response(start_server: StartServer) -> None:
    """RFC 9112 section 9.6: an immediate close would reset the connection and lose the response."""
    server = start_server(count_body)
    for _ in range(20):
        with connected(server.port) as client:
            client.send(_POST % (900_000, b"") + b"a" * 900_000)
            assert client.response().status == 413
            assert client.closed()


def test_100_is_sent_when_the_application_reads_the_body(start_server: StartServer) -> None:
    """RFC 9110 section 10.1.1: and not for a rejected head."""
    server = start_server(count_body)
    with connected(server.port) as client:
        client.send(_POST % (5, _EXPECT))
        assert client.response().status == 100
        client.send(b"hello")
        assert client.response().body == b"5"
        client.send(_POST % (BODY_LIMIT + 1, _EXPECT))
        assert client.response().status == 413
        assert client.closed()


@pytest.mark.parametrize(
    "head", [_POST % (5, _EXPECT) + b"hello", (_POST % (5, _EXPECT)).replace(b"1.1", b"1.0") + b"hello"]
)
def test_100_is_not_sent_to_a_client_that_does_not_wait(start_server: StartServer, head: bytes) -> None:
    """RFC 9110 section 10.1.1: the body has arrived already, or the client speaks HTTP/1.0."""
    server = start_server(count_body)
    with connected(server.port) as client:
        client.send(head)
        assert client.response().status == 200


def test_the_connection_closes_after_a_final_response_without_100(start_server: StartServer) -> None:
    """PX5: the next bytes could be the body or the next request."""
    server = start_server(_OK)
    with connected(server.port) as client:
        client.send(_POST % (5, _EXPECT))
        response = client.response()
        assert (response.status, response.headers["connection"]) == (200, "close")
        client.send(_GET % b"/hidden")
        assert client.closed()
    assert len(server.scopes) == 1


def test_a_half_closed_client_receives_its_response(start_server: StartServer) -> None:
    """RFC 9112 section 9.6: for example a shell pipe into netcat."""
    app = Held()
    server = start_server(app)
    with connected(server.port) as client:
        client.send(_GET % b"/here")
        assert server.wait_until(lambda: bool(server.scopes))
        client.socket.shutdown(socket.SHUT_WR)
        assert server.wait_until(lambda: server.connection._client_done)
        server.call_soon(app.release.set)
        assert client.response().body == b"/here"
        assert client.closed()


def _disconnect(client: RawClient) -> None:
    client.socket.close()


def _half_close(client: RawClient) -> None:
    client.socket.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("disconnect", [_disconnect, _half_close])
@pytest.mark.parametrize("sent", [_GET % b"/", _POST % (5, b"") + b"he"], ids=["complete", "within its body"])
def test_receive_reports_that_the_client_disconnected(
    start_server: StartServer, disconnect: Callable[[RawClient], None], sent: bytes
) -> None:
    """PX9: the application can stop its work."""
    app = Held(listens=True)
    server = start_server(app)
    with connected(server.port) as client:
        client.send(sent)
        assert server.wait_until(lambda: app.events == ["http.request"])
        loop = server.connection.loop
        disconnect(client)
        assert server.wait_until(lambda: app.events == ["http.request", "http.disconnect"])
    loop.call_soon_threadsafe(app.release.set)
    assert server.wait_until(lambda: server.idle)


def test_a_stream_to_a_disconnected_client_ends(start_server: StartServer) -> None:
    """PX9: send() drops the data and does not raise."""
    sent: list[int] = []

    async def endless(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start())
        while len(sent) < 2 or server.connections:
            await send(body(b"a" * 1_000, more=True))
            sent.append(1)
            await asyncio.sleep(0.001)

    server = start_server(endless)
    with connected(server.port) as client:
        client.send(_GET % b"/")
        assert client.read_exactly(1_000)
    assert server.wait_until(lambda: server.idle)


def test_the_head_of_a_stream_is_sent_before_its_first_chunk(start_server: StartServer) -> None:
    """PX11: an event stream is open before its first event."""
    ready = asyncio.Event()
    server = start_server(stream([b"one", b"two"], ready))
    with connected(server.port) as client:
        client.send(_GET % b"/")
        assert b"transfer-encoding: chunked" in client.read_until(b"\r\n\r\n")
        server.call_soon(ready.set)
        assert client.read_body({"transfer-encoding": "chunked"}) == b"onetwo"


def test_http_1_0_gets_an_unchunked_body_and_a_closed_connection(start_server: StartServer) -> None:
    """RFC 9112 section 6.1: the close ends the body."""
    server = start_server(stream([b"one", b"two"]))
    with connected(server.port) as client:
        client.send((_GET % b"/").replace(b"1.1\r\n", b"1.0\r\nConnection: keep-alive\r\n"))
        response = client.response()
        assert (response.body, response.headers["connection"]) == (b"onetwo", "close")
        assert "transfer-encoding" not in response.headers


@pytest.mark.parametrize("options", [b"close", b"Close", b"keep-alive, close", b"close\r\nConnection: x-note"])
def test_connection_close_closes_the_connection(start_server: StartServer, options: bytes) -> None:
    """RFC 9112 section 9.6: at any position among other options."""
    server = start_server(_OK)
    with connected(server.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: gateway.test\r\nConnection: " + options + b"\r\n\r\n" + _GET % b"/more")
        assert client.response().headers["connection"] == "close"
        assert client.closed()
    assert len(server.scopes) == 1


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_a_response_without_a_body_ends_with_its_head(start_server: StartServer, method: str, status: int) -> None:
    """RFC 9110 section 6.4.1: whatever its Content-Length, the next response follows immediately."""
    lengths = [length(2)] if method == "HEAD" or status == 304 else []
    server = start_server(responds(start(status, *lengths), body(b"ok" if method == "HEAD" else b"")))
    with connected(server.port) as client:
        client.send((_GET % b"/").replace(b"GET", method.encode()) * 2)
        for _ in range(2):
            response = client.response(method)
            assert (response.status, response.headers.get("content-length")) == (status, "2" if lengths else None)
            assert "transfer-encoding" not in response.headers


def test_shutdown_finishes_running_requests(start_server: StartServer) -> None:
    """OP1: then it closes their connections, those that are idle and those within a head."""
    app = Held()
    server = start_server(app)
    with connected(server.port) as busy, connected(server.port) as idle, connected(server.port) as halfway:
        busy.send(_GET % b"/busy")
        halfway.send(b"GET / HT")
        assert server.wait_until(lambda: bool(server.scopes) and len(server.connections) == 3)
        loop = server.connections[0].loop
        server.uvicorn.should_exit = True
        assert idle.closed()
        assert halfway.closed()
        loop.call_soon_threadsafe(app.release.set)
        response = busy.response()
        assert (response.body, response.headers["connection"]) == (b"/busy", "close")
        assert busy.closed()


def test_above_the_connection_limit_the_longest_idle_connection_is_evicted(start_server: StartServer) -> None:
    """PX8: never one with a running request, and never the new one while another is idle."""
    app = Held()
    server = start_server(app, limits=Limits(max_connections=3))
    with connected(server.port) as busy, connected(server.port) as oldest, connected(server.port) as newer:
        busy.send(_GET % b"/busy")
        assert server.wait_until(lambda: bool(server.scopes))
        oldest.send(b"GET / HT")
        newer.send(b"GET / HTTP/1.1\r\n")
        assert server.wait_until(lambda: len(server.connections) == 3)
        with connected(server.port) as newest:
            assert oldest.closed()
            newest.send(_GET % b"/newest")
            assert server.wait_until(lambda: len(server.scopes) == 2)
            server.connections[0].loop.call_soon_threadsafe(app.release.set)
            assert newest.response().body == b"/newest"
            assert busy.response().body == b"/busy"
