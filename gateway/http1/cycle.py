"""One request and its answer, between a connection and the application: uvicorn's cycle, with less work in it.

The names that uvicorn's server reads are uvicorn's. ``receive`` raises what is wrong with the body, so that the stages
answer it as any other error. ``send`` writes an answer of one piece at once.
"""

import asyncio
import logging
from typing import Protocol

from uvicorn._types import (
    ASGI3Application,
    ASGIReceiveEvent,
    ASGISendEvent,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    HTTPScope,
)
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from gateway.http1.refusal import Answer
from gateway.http1.request_head import CHUNKED
from gateway.http1.response_head import HeadWriter
from gateway.problems.errors import Internal
from tenants.errors import TenantryError

_WITHOUT_BODY = frozenset({204, 304})  # beside every answer to HEAD (RFC 9110 section 6.4.1)
_JOINED = 16_384  # bytes of a body up to which copying it costs less than a second buffer
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(Protocol):
    """What a cycle asks of the connection that it takes place on."""

    transport: asyncio.Transport
    flow: FlowControl
    logger: logging.Logger
    server_state: ServerState
    heads: HeadWriter

    def explain(self, error: TenantryError) -> Answer:
        """The answer to an error that no stage has answered. It is on the log then."""

    def on_response_complete(self) -> None:
        """The answer was written to its end."""


class Cycle(RequestResponseCycle):
    """What most requests leave as it is stands in the class. The names that uvicorn reads are uvicorn's."""

    disconnected = False
    response_started = False
    response_complete = False
    _told = False  # the application: that the body has ended
    _left = False  # the client has: it sends nothing more, and may still read
    _failure: TenantryError | None = None
    _news: asyncio.Event | None = None  # made when the application has to wait, as it seldom has
    _buffered = 0  # bytes of the body that the application has not taken
    _head = b""  # of the answer, held back until its body comes
    _owed: int | None = 0  # bytes that the answer still promises, CHUNKED, or None: until the connection ends

    def __init__(
        self, connection: Connection, scope: HTTPScope, *, more_body: bool, keep_alive: bool, expects: bool
    ) -> None:
        # Not uvicorn's own, which sets twice as much for every request.
        self.scope = scope
        self.more_body = more_body
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expects
        self.transport = connection.transport
        self.flow = connection.flow
        self.logger = connection.logger
        self._connection = connection
        self._pieces: list[bytes] = []

    def start(self, app: ASGI3Application, loop: asyncio.AbstractEventLoop) -> None:
        """Run the application in a task, which the server knows of until it is done."""
        # Named, and not by the loop: to number it would cost a hundredth of the whole request.
        self._task = task = asyncio.Task(self._run(app), loop=loop, name="request")
        self._connection.server_state.tasks.add(task)

    async def _run(self, app: ASGI3Application) -> None:
        try:
            await app(self.scope, self.receive, self.send)
            if not (self.response_complete or self.disconnected):
                self.logger.error("ASGI callable returned before its answer was complete.")
                await self._break_off()
        except BaseException:  # as uvicorn does, also when the server gives the request up
            self.logger.exception("Exception in ASGI application")
            await self._break_off()
        finally:  # here, since a callback of the task would cost another turn of the loop
            self._connection.server_state.tasks.discard(self._task)
            del self._task  # whose context holds the request, which holds us: nothing must be left to the collector

    async def _break_off(self) -> None:
        if self.response_started:
            self.transport.close()
        else:
            await self.send_500_response()

    def feed(self, payload: bytes, *, more_body: bool) -> None:
        """A piece of the body has come."""
        if self.response_complete:
            return
        self.more_body = more_body
        self.waiting_for_100_continue = False  # the client did not wait for it
        if payload:
            self._pieces.append(payload)
            self._buffered += len(payload)
            if more_body and self._buffered > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
        self._wake()

    def fail(self, error: TenantryError) -> None:
        """The body will never be whole. The application hears of it when it asks for more."""
        self._failure = error
        self.keep_alive = False
        self._wake()

    def leave(self, *, reads: bool = False) -> None:
        """The client has left; or, with ``reads``, it may have: it will send nothing more.

        One that has closed its own way alone cannot be told from one that has gone. So the answer is still written,
        unless the application asks, and is told that nobody is there.
        """
        self.keep_alive = False
        self._left = True
        self.disconnected = not reads
        self._wake()

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()

    async def receive(self) -> ASGIReceiveEvent:
        """The next piece of the body, or that nothing more will come. Raises what ``fail`` was told."""
        if self.waiting_for_100_continue and not self._left:
            self.waiting_for_100_continue = False
            self.transport.write(_CONTINUE)
        while not self._has_news():
            if self._news is None:
                self._news = asyncio.Event()
            self._news.clear()
            await self._news.wait()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        if self._failure is not None:
            raise self._failure
        if self._told:
            return {"type": "http.disconnect"}
        return self._next_piece()

    def _has_news(self) -> bool:
        over = self.disconnected or self.response_complete or self._left or self._failure is not None
        return over or bool(self._pieces) or not (self.more_body or self._told)

    def _next_piece(self) -> ASGIReceiveEvent:
        body = b"".join(self._pieces)
        self._pieces.clear()
        self._buffered = 0
        self._told = not self.more_body
        if self.more_body:
            self.flow.resume_reading()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: ASGISendEvent) -> None:
        """Raises RuntimeError for what cannot follow what was sent before, or would break the answer."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.body" and self.response_started and not self.response_complete:
            self._continue(message)
        elif message["type"] == "http.response.start" and not self.response_started:
            self.response_started = True
            self._begin(message)
        else:
            raise RuntimeError(f"The ASGI message {message['type']} does not belong here.")

    def _begin(self, message: HTTPResponseStartEvent) -> None:
        status, connection = message["status"], self._connection
        lines, length, closes = connection.heads.write(
            status, connection.server_state.default_headers, message.get("headers", ())
        )
        if closes or (self.waiting_for_100_continue and self.more_body):
            self.keep_alive = False  # whether the client sends its body now, none can tell (RFC 9110 section 10.1.1)
        if not self.keep_alive and not closes:
            lines.append(b"connection: close\r\n")
        self.waiting_for_100_continue = False
        if self.scope["method"] == "HEAD" or status in _WITHOUT_BODY:
            length = 0
        elif length is None and self.scope["http_version"] == "1.1":
            length = CHUNKED
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        self._owed = length
        self._head = b"".join(lines)
        if length is None or length == CHUNKED:  # a stream, whose first byte may be long in coming
            self._write(b"")

    def _continue(self, message: HTTPResponseBodyEvent) -> None:
        body, more = message.get("body", b""), message.get("more_body", False)
        if self.scope["method"] == "HEAD":
            body = b""
        elif self._owed == CHUNKED:
            body = _chunk(body, last=not more)
        elif self._owed is not None:
            owed = self._owed - len(body)
            if owed < 0 or (owed and not more):
                raise RuntimeError("The body is longer or shorter than its Content-Length.")
            self._owed = owed
        self._write(body)
        if not more:
            self.response_complete = True
            if self._news is not None:
                self._news.set()
            self._connection.on_response_complete()

    def _write(self, data: bytes) -> None:
        head, self._head = self._head, b""
        if head and len(data) > _JOINED:
            self.transport.writelines([head, data])
        elif head or data:
            self.transport.write(head + data)

    async def send_500_response(self) -> None:
        """What uvicorn lets an application answer that raised, or returned, before it began to."""
        status, headers, body = self._connection.explain(self._failure or Internal())
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def _chunk(data: bytes, *, last: bool) -> bytes:
    chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
    return chunk + b"0\r\n\r\n" if last else chunk
