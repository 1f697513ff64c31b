"""Every phase of a request has a timeout (PX8)."""

import asyncio
from threading import Event

import pytest

from gateway.http1.timeouts import Limits
from tests.fixtures.http1 import Http1Server, StartServer
from tests.integration.http1.applications import Held, body, count_body, length, responds, start
from tests.raw_http import RawClient, connected

_HEAD = b"POST /read HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 6000\r\n"


@pytest.mark.parametrize("sent", [b"G", b"GET / HTTP/1.1\r\nHost: gateway.test\r\nX-Slow: "])
def test_an_incomplete_head_gets_408(start_server: StartServer, sent: bytes) -> None:
    """PX8: trickling bytes do not extend the timeout."""
    server = start_server(count_body, limits=Limits(sweep=0.02, head=0.3))
    with connected(server.port) as client:
        client.send(sent)
        assert server.wait_until(lambda: server.connection._head_started > 0)
        client.send(b"\r" if sent == b"G" else b"a")
        response = client.response()
        assert (response.status, response.problem["code"]) == (408, "request_timeout")
        assert client.closed()
    assert server.scopes == []


def test_a_connection_without_a_request_is_closed(start_server: StartServer) -> None:
    """PX8: else idle connections could exhaust the server."""
    server = start_server(count_body, limits=Limits(sweep=0.02, first_byte=0.2))
    with connected(server.port) as client:
        assert client.closed()


def test_an_idle_connection_is_closed_after_the_keep_alive_timeout(start_server: StartServer) -> None:
    """PX8."""
    server = start_server(count_body, limits=Limits(sweep=0.02), keep_alive=0.2)
    with connected(server.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
        assert client.response().headers.get("connection") is None
        assert client.closed()


def test_no_timeout_runs_while_the_application_works(start_server: StartServer) -> None:
    """PX8: nor for a pipelined request that waits behind it."""
    app = Held()
    server = start_server(app, limits=Limits(sweep=0.01, head=0.05))
    with connected(server.port) as client:
        client.send(b"GET /one HTTP/1.1\r\nHost: gateway.test\r\n\r\nGET /two HTTP/1.1\r\n")
        assert server.wait_until(lambda: bool(server.connection._buffer))
        sweeps = _count_sweeps(server)
        assert server.wait_until(lambda: len(sweeps) > 10)
        server.call_soon(app.release.set)
        assert client.response().body == b"/one"
        assert client.response().status == 408


def _count_sweeps(server: Http1Server) -> list[None]:
    """A list that grows by one item every 10 ms of the server's event loop."""
    seen: list[None] = []
    loop = server.connection.loop

    def tick() -> None:
        seen.append(None)
        if len(seen) < 100:
            loop.call_later(0.01, tick)

    loop.call_soon_threadsafe(tick)
    return seen


def _send_partial_body(server: Http1Server, client: RawClient, sent: bytes) -> None:
    client.send(_HEAD + b"\r\n" + sent)
    assert server.wait_until(lambda: bool(server.scopes) and server.received == len(sent))


def _let_pass(server: Http1Server, seconds: float) -> None:
    """Judge the body as if this much time had passed since its start."""
    judged = Event()

    def judge() -> None:
        connection = server.connections[0]
        assert connection._pace is not None
        connection._pace._began = connection.loop.time() - seconds
        connection.on_timeout()
        judged.set()

    server.call_soon(judge)
    assert judged.wait(20)


@pytest.mark.parametrize("sent", [1, 5_000])
def test_a_slow_body_gets_408(start_server: StartServer, sent: int) -> None:
    """PX8, LD2: judged over the whole body, so that what comes fast at first buys time at the minimum rate only."""
    server = start_server(count_body)
    with connected(server.port) as client:
        _send_partial_body(server, client, b"a" * sent)
        _let_pass(server, Limits().grace + sent / Limits().min_rate)
        response = client.response()
        assert (response.status, response.problem["code"]) == (408, "request_timeout")
        assert client.closed()


@pytest.mark.parametrize("sent", [1, 5_000])
def test_a_body_at_the_minimum_rate_is_accepted(start_server: StartServer, sent: int) -> None:
    """PX8 bounds the rate, not the duration."""
    server = start_server(count_body)
    with connected(server.port) as client:
        _send_partial_body(server, client, b"a" * sent)
        _let_pass(server, Limits().grace + sent / Limits().min_rate - 1)
        client.send(b"a" * (6_000 - sent))
        assert client.response().body == b"6000"


def test_the_sweep_notices_a_stalled_body(start_server: StartServer) -> None:
    """PX8."""
    server = start_server(count_body, limits=Limits(sweep=0.02, grace=0.1))
    with connected(server.port) as client:
        client.send(_HEAD + b"\r\na")
        assert client.response().status == 408


def test_no_body_timeout_runs_while_the_client_waits_for_100_continue(start_server: StartServer) -> None:
    """PX8: the delay is the application's."""
    app = Held()
    server = start_server(app, limits=Limits(sweep=0.01, grace=0.03))
    with connected(server.port) as client:
        client.send(_HEAD + b"Expect: 100-continue\r\n\r\n")
        sweeps = _count_sweeps(server)
        assert server.wait_until(lambda: len(sweeps) > 10)
        server.call_soon(app.release.set)
        assert client.response().status == 200


def test_a_rejected_client_that_keeps_sending_is_disconnected(start_server: StartServer) -> None:
    """PX8: after a grace period, or after a bounded number of bytes."""
    server = start_server(count_body, limits=Limits(sweep=0.02, drain=0.2))
    with connected(server.port) as client:
        client.send(b"no request\r\n\r\n")
        assert client.response().status == 400
        assert server.wait_until(lambda: not server.connections)
    server = start_server(count_body, limits=Limits(max_drained=100_000))
    with connected(server.port) as client:
        client.send(b"no request\r\n\r\n" + b"a" * 10_000_000)
        assert server.wait_until(lambda: not server.connections)


def _assert_disconnected(server: Http1Server) -> None:
    assert server.wait_until(lambda: bool(server.scopes))
    assert server.wait_until(lambda: not server.connections)


def test_a_client_that_reads_nothing_is_disconnected(start_server: StartServer) -> None:
    """PX8: while the response is written, and while its last bytes wait to be sent."""
    large = 50_000_000
    for close in ((), ((b"connection", b"close"),)):
        server = start_server(responds(start(200, length(large), *close), body(bytes(large))), send_timeout=0.3)
        with connected(server.port) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
            _assert_disconnected(server)


def test_a_closed_connection_has_no_timeout(start_server: StartServer) -> None:
    """PX8: else a long-running server would leak memory."""
    server = start_server(count_body)
    with connected(server.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
        assert client.response().status == 200
        timeouts = server.connection._timeouts
        assert len(timeouts._deadlines) == 1
    assert server.wait_until(lambda: not timeouts._deadlines)


def test_the_timer_stops_when_no_timeout_is_set(start_server: StartServer) -> None:
    """An idle worker does not wake up every second."""
    server = start_server(count_body, limits=Limits(sweep=0.01))
    with connected(server.port):
        timeouts = server.connection._timeouts
        assert timeouts._timer is not None
    assert server.wait_until(lambda: timeouts._timer is None)
    assert isinstance(timeouts._loop, asyncio.AbstractEventLoop)
