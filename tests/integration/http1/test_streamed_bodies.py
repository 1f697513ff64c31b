"""Bodies that an application passes on while they arrive, bounded by its own route (DA2, LD2, PX9, PX11)."""

import asyncio
from threading import Thread

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.testing import CapturingLogger

from gateway.gate.access_log import AccessLog
from gateway.gate.gate import Gate
from gateway.http1.held_memory import Holder
from gateway.problems.documents import Problems
from gateway.request.client import CLIENT
from gateway.request.source import SourceReader
from tests.asgi import route_to
from tests.fixtures.http1 import BODY_LIMIT, Http1Server, StartServer
from tests.integration.http1.applications import body, fails_after, length, responds, start
from tests.raw_http import connected

_LIMIT = 4 * BODY_LIMIT  # of the route
_POST = b"POST /up HTTP/1.1\r\nHost: gateway.test\r\n"


class _Sink:
    """Streams bodies of at most ``limit`` bytes, and answers with their size. ``release`` lets it take a part."""

    def __init__(self, limit: int = _LIMIT, *, waits: bool = False) -> None:
        self.limit = limit
        self.sizes: list[int] = []  # of the parts taken
        self.events: list[str] = []
        self.release = asyncio.Semaphore(0 if waits else 1_000_000)
        self.logger = CapturingLogger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope[CLIENT]
        client.stream_body(self.limit)
        whole, more = client.whole_body(), True
        if whole is not None:
            self.sizes.append(len(whole))
            more = False
        while more:
            await self.release.acquire()
            message = await receive()
            self.sizes.append(len(message["body"]))
            more = message["more_body"]
        size = b"%d" % sum(self.sizes)
        await send(start(200, length(len(size))))
        await send(body(size))

    def open(self) -> None:
        """Let it take everything."""
        for _ in range(10_000):
            self.release.release()

    def gate(self) -> Gate:
        return Gate(
            self,
            stages=(route_to(self, "/up"),),
            problems=Problems("https://gateway.test"),
            source=SourceReader(),
            access=AccessLog(self.logger),
        )


def _chunked(size: int) -> bytes:
    half = size // 2
    parts = [b"%x\r\n%b\r\n" % (each, b"a" * each) for each in (half, size - half)]
    return _POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(parts) + b"0\r\n\r\n"


def _declared(size: int) -> bytes:
    return _POST + b"Content-Length: %d\r\n\r\n" % size + b"a" * size


@pytest.mark.parametrize("sent", [_declared, _chunked])
def test_a_routes_bound_replaces_that_of_the_server(start_server: StartServer, sent: object) -> None:
    """DA2: at the bound a body passes and the connection goes on; beyond it 413, of a declared one before any of it."""
    sink = _Sink()
    server = start_server(sink.gate())
    assert callable(sent)
    with connected(server.port) as client:
        for _ in range(2):
            sink.sizes.clear()
            client.send(sent(_LIMIT))
            assert client.response().body == b"%d" % _LIMIT
    sink.sizes.clear()
    with connected(server.port) as client:
        client.send(sent(_LIMIT + 1))
        refused = client.response()
        assert (refused.status, refused.problem["code"], refused.headers["connection"]) == (
            413,
            "payload_too_large",
            "close",
        )
        assert client.closed()
    assert sum(sink.sizes) <= _LIMIT
    assert not (sent is _declared and sink.sizes)


def test_a_smaller_bound_refuses_what_the_server_would_take(start_server: StartServer) -> None:
    """DA2: and the client may go on with another request, since the rest is small enough to be discarded."""
    sink = _Sink(100)
    server = start_server(sink.gate())
    with connected(server.port) as client:
        client.send(_declared(101) + _declared(100))
        assert client.response().status == 413
        assert client.response().body == b"100"


@pytest.mark.parametrize(("app", "status"), [(responds(start(401, length(2)), body(b"no")), 401), (fails_after(), 500)])
def test_a_body_beyond_the_servers_bound_is_not_discarded(start_server: StartServer, app: ASGIApp, status: int) -> None:
    """DA2: a request that is refused for another reason is answered, and its body ends with the connection."""
    server = start_server(app)
    with connected(server.port) as client:
        client.send(_POST + b"Content-Length: 1000000000\r\n\r\n" + b"a" * 1_000)
        refused = client.response()
        assert (refused.status, refused.headers["connection"]) == (status, "close")
        assert client.closed()


def test_memory_stays_flat_while_a_body_is_passed_on(start_server: StartServer) -> None:
    """PX11, LD2: what was passed on is not held, and a client that sends faster is stopped."""
    size = 20_000_000
    sink = _Sink(size, waits=True)
    server = start_server(sink.gate())
    with connected(server.port) as client:
        sender = Thread(target=client.send, args=(_declared(size),))
        sender.start()
        assert server.wait_until(lambda: server.connection.flow.read_paused)
        held = _record(server)
        server.call_soon(sink.open)
        assert client.response().body == b"%d" % size
        sender.join()
    assert BODY_LIMIT < max(held) < 1_000_000
    assert server.memory.total == 0


def _record(server: Http1Server) -> list[int]:
    """The memory that is held, after each change."""
    held, hold = [server.memory.total], server.memory.hold

    def record(holder: Holder, size: int, source: str | None) -> None:
        hold(holder, size, source)
        held.append(server.memory.total)

    server.memory.hold = record  # type: ignore[method-assign]
    return held


class _Waiting:
    """Waits for an upstream that never answers, and learns that the client has gone."""

    def __init__(self, *first: object) -> None:
        self.first = first
        self.gone = 0
        self.waits = False

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        client, ended = scope[CLIENT], asyncio.Event()

        def leave() -> None:
            self.gone += 1
            ended.set()

        for message in self.first:
            await send(message)  # type: ignore[arg-type]
        client.on_disconnect(leave)
        self.waits = True
        await ended.wait()
        assert client.left


@pytest.mark.parametrize("first", [(), (start(), body(b"first", more=True))], ids=["no answer yet", "a stream"])
@pytest.mark.parametrize("early", [False, True], ids=["later", "at once"])
def test_a_client_that_leaves_is_reported_without_a_task(
    start_server: StartServer, first: tuple[object, ...], *, early: bool
) -> None:
    """PX9: once, also when it had gone before the application asked; a half-close is a disconnect here."""
    app = _Waiting(*first)
    server = start_server(app)
    with connected(server.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
        assert early or server.wait_until(lambda: app.waits)
    assert server.wait_until(lambda: app.gone == 1)
    assert server.wait_until(lambda: server.idle)
    assert app.gone == 1


def test_an_incomplete_body_without_a_length_ends_with_a_reset(start_server: StartServer) -> None:
    """PX9: to an HTTP/1.0 client an ordinary close is the end of the body."""
    server = start_server(fails_after(start(), body(b"first", more=True)))
    with connected(server.port) as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.response()
