"""Clients that read their response slowly, or not at all (LD2, LD3)."""

import asyncio
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.testing import CapturingLogger

from gateway.gate.access_log import AccessLog
from gateway.gate.gate import Gate
from gateway.http1.timeouts import Limits
from gateway.problems.documents import Problems
from gateway.request.context import RequestContext
from gateway.request.source import SourceReader
from tests.asgi import route_to
from tests.fixtures.http1 import Http1Server, StartServer
from tests.integration.http1.applications import body, length, responds, start
from tests.raw_http import RawClient, connected

_LARGE = 4_000_000  # bytes: more than the kernel takes
_GET = b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
_ANSWER = responds(start(200, length(_LARGE)), body(bytes(_LARGE)))
_SMALL = responds(start(200, length(2)), body(b"ok"))


@dataclass(slots=True)
class _Gated:
    """A gate before an application, whose requests hold a permit until they are delivered."""

    app: ASGIApp
    held: int = 0
    most: int = 0
    logger: CapturingLogger = field(default_factory=CapturingLogger)

    def gate(self) -> Gate:
        return Gate(
            self.app,
            stages=(route_to(self.app, "/"), self._acquire),
            problems=Problems("https://gateway.test"),
            source=SourceReader(),
            access=AccessLog(self.logger, share=0.0),
        )

    def _acquire(self, request: RequestContext) -> None:
        self.held += 1
        self.most = max(self.most, self.held)
        request.on_delivered(self._release)

    def _release(self, _request: RequestContext, _status: int) -> None:
        self.held -= 1


def _request(server: Http1Server, client: RawClient, count: int = 1) -> None:
    """Send requests and read nothing; the kernel takes no more of the response."""
    client.send(_GET * count)
    assert server.wait_until(lambda: server.memory.total > 0)


def test_a_permit_is_held_until_the_response_has_left(start_server: StartServer) -> None:
    """LD3: and then it is free; the next request of the connection begins only then."""
    gated = _Gated(_ANSWER)
    server = start_server(gated.gate())
    with connected(server.port) as client:
        _request(server, client, count=2)
        assert (gated.held, len(server.scopes)) == (1, 1)
        assert server.memory.of("127.0.0.1") == server.memory.total
        for _ in range(2):
            assert len(client.response().body) == _LARGE
        assert server.wait_until(lambda: not gated.held)
    assert (gated.most, server.memory.total) == (1, 0)
    assert gated.logger.calls == []


def test_a_small_response_releases_its_permit_at_once(start_server: StartServer) -> None:
    """TH6: in the step that sends it, so before this worker can see the client's next request."""
    gated = _Gated(_SMALL)
    server = start_server(gated.gate())
    with connected(server.port) as client:
        for _ in range(50):
            client.send(_GET)
            assert client.response().body == b"ok"
    assert gated.most == 1


def test_a_reader_below_the_minimum_rate_is_ended(start_server: StartServer) -> None:
    """LD3: the log line says why, though successful requests are not logged here."""
    gated = _Gated(_ANSWER)
    server = start_server(gated.gate(), limits=Limits(sweep=0.02, grace=0.2, min_rate=100_000_000))
    with connected(server.port) as client:
        client.send(_GET)
        assert server.wait_until(lambda: bool(gated.logger.calls))
        assert server.wait_until(lambda: server.idle)
    assert (gated.held, server.memory.total) == (0, 0)
    (line,) = gated.logger.calls
    assert (line.kwargs["status"], line.kwargs["cut_short"]) == (200, "slow_reader")


def test_a_stream_that_waits_for_its_data_is_no_slow_reader(start_server: StartServer) -> None:
    """LD3: only the time in which bytes wait for the reader counts."""
    waiting = asyncio.Event()

    async def stream(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"first", more=True))
        await waiting.wait()
        await send(body(b"last"))

    gated = _Gated(stream)
    server = start_server(gated.gate(), limits=Limits(sweep=0.01, grace=0.02))
    with connected(server.port) as client:
        client.send(_GET)
        assert client.read_until(b"first")
        connection = server.connection
        timeouts = connection._shared.deliveries.timeouts
        assert (gated.held, timeouts._deadlines) == (1, {})
        server.call_soon(waiting.set)
        assert client.read_until(b"0\r\n\r\n")
    assert server.wait_until(lambda: not gated.held)


def test_a_slow_reader_of_a_stream_is_ended(start_server: StartServer) -> None:
    """LD3: over all its waits together."""

    async def endless(_scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        await send(start())
        while not ended.is_set():
            await send(body(bytes(100_000), more=True))
            await asyncio.sleep(0)

    ended = asyncio.Event()
    gated = _Gated(endless)
    server = start_server(gated.gate(), limits=Limits(sweep=0.02, grace=0.2, min_rate=100_000_000))
    with connected(server.port) as client:
        client.send(_GET)
        assert server.wait_until(lambda: bool(server.scopes) and not server.connections)
    ended.set()
    assert server.wait_until(lambda: server.idle)
    assert gated.logger.calls[0].kwargs["cut_short"] == "slow_reader"


def test_undelivered_responses_of_one_source_are_bounded(start_server: StartServer) -> None:
    """LD2: the longest waiting one is cut short, and a small one is still delivered."""
    gated = _Gated(_ANSWER)
    server = start_server(gated.gate(), held_memory_limit=_LARGE * 8)
    clients = [RawClient(server.port) for _ in range(6)]
    for number, client in enumerate(clients, 1):
        client.send(_GET)
        assert server.wait_until(lambda count=number: len(server.scopes) == count)  # type: ignore[misc]
    assert server.wait_until(lambda: len(gated.logger.calls) >= 3)
    assert server.memory.total <= _LARGE * 2
    assert {line.kwargs["cut_short"] for line in gated.logger.calls} == {"memory_short"}
    for client in clients:
        client.socket.close()


def test_a_client_may_send_its_whole_body_before_it_reads_the_response(start_server: StartServer) -> None:
    """PX9: an early response must not wait for a client that waits to be read."""
    server = start_server(_ANSWER, body_limit=8_000_000)
    with connected(server.port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 8000000\r\n\r\n" + bytes(8_000_000))
        assert len(client.response().body) == _LARGE
        client.send(_GET)
        assert len(client.response().body) == _LARGE


def test_shutdown_ends_with_a_reader_that_reads_nothing(start_server: StartServer) -> None:
    """OP1: its request is cancelled when the time for running requests is over."""
    gated = _Gated(_ANSWER)
    server = start_server(gated.gate())
    server.uvicorn.config.timeout_graceful_shutdown = 1
    with connected(server.port) as client:
        _request(server, client)
        server.uvicorn.should_exit = True
        assert server.wait_until(lambda: not gated.held and not server.uvicorn.server_state.tasks)


def test_an_incomplete_response_is_not_flushed_for_ever(start_server: StartServer) -> None:
    """LD2: the rest of a response that failed is for a client that reads it soon."""

    async def fails(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start(200, length(_LARGE + 1)))
        await send(body(bytes(_LARGE), more=True))
        raise ZeroDivisionError

    server = start_server(fails, limits=Limits(sweep=0.02, drain=0.2))
    with connected(server.port) as client:
        client.send(_GET)
        assert server.wait_until(lambda: bool(server.scopes))
        assert server.wait_until(lambda: server.idle)
