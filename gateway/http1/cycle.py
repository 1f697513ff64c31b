"""One request and its response, between a connection and the application.

It replaces uvicorn's ``RequestResponseCycle``, of which uvicorn's server and protocol read ``keep_alive``,
``response_started`` and ``response_complete``. Errors in the body are raised by ``receive``, so that the gate answers
them like any other error. A response of one piece is sent in one write. The last ``send`` returns when the kernel has
the whole response: until then the request is in flight, and the connection reads no further one.
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
from uvicorn.server import ServerState

from gateway.http1.delivery import Delivery
from gateway.http1.request_head import CHUNKED
from gateway.http1.response_head import HeadWriter
from gateway.http1.shared_state import ErrorResponse
from gateway.problems.errors import Internal
from tenants.errors import TenantryError

_STATUSES_WITHOUT_BODY = frozenset({204, 304})  # and every response to HEAD (RFC 9110 section 6.4.1)
_MAX_JOINED = 16_384  # bytes of a body up to which copying it behind the head is cheaper than a second buffer
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class CycleConnection(Protocol):
    """What a cycle needs of its connection."""

    transport: asyncio.Transport
    flow: FlowControl
    logger: logging.Logger
    server_state: ServerState
    heads: HeadWriter

    def error_response(self, error: TenantryError) -> ErrorResponse:
        """The response to an error that the application did not handle. It is logged."""

    def delivery(self, scope: HTTPScope) -> Delivery:
        """For a response that has to wait for its reader."""

    def on_response_complete(self) -> None:
        """The kernel has taken the last byte of the response."""

    def abandon(self) -> None:
        """Close, and let the client read for a short time what was sent of an incomplete response."""


class RequestCycle:
    """Implements ASGI's ``receive`` and ``send`` for one request."""

    __slots__ = (
        "_body_chunks",
        "_buffered_bytes",
        "_client_done",
        "_connection",
        "_delivery",
        "_end_of_body_sent",
        "_error",
        "_flow",
        "_pending_head",
        "_remaining",
        "_task",
        "_transport",
        "_wakeup",
        "disconnected",
        "keep_alive",
        "more_body",
        "response_complete",
        "response_ended",
        "response_started",
        "scope",
        "waiting_for_100_continue",
    )

    def __init__(
        self, connection: CycleConnection, scope: HTTPScope, *, more_body: bool, keep_alive: bool, expects: bool
    ) -> None:
        self.more_body = more_body
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expects
        self.disconnected = False
        self.response_started = False
        self.response_ended = False  # the application has sent its end
        self.response_complete = False  # the kernel has all of it
        self.scope = scope
        self._connection = connection
        self._transport = connection.transport
        self._flow = connection.flow
        self._delivery: Delivery | None = None  # created only when the response has to wait
        self._task: asyncio.Task[None] | None = None
        self._client_done = False  # it sends nothing more, and may still read
        self._error: TenantryError | None = None  # in the body
        self._wakeup: asyncio.Event | None = None  # created only when the application has to wait
        self._body_chunks: list[bytes] = []
        self._buffered_bytes = 0  # in _body_chunks
        self._end_of_body_sent = False  # to the application
        self._pending_head = b""  # of the response, held back until its first body message
        self._remaining: int | None = 0  # bytes of Content-Length, CHUNKED, or None: until the connection closes

    def start(self, app: ASGI3Application, loop: asyncio.AbstractEventLoop) -> None:
        """Run the application in a task, which the server tracks until it ends."""
        self._task = task = asyncio.Task(self._run(app), loop=loop, name="request")
        self._connection.server_state.tasks.add(task)

    async def _run(self, app: ASGI3Application) -> None:
        try:
            await app(self.scope, self.receive, self.send)
            if not (self.response_complete or self.disconnected):
                if not self.response_ended:  # otherwise it has stopped waiting for the reader
                    self._connection.logger.error("ASGI callable returned before its response was complete.")
                await self._abort_response()
        except BaseException as error:  # like uvicorn, also for a cancellation by the server
            self._connection.logger.exception("Exception in ASGI application")
            if self.response_started and isinstance(error, asyncio.CancelledError):
                self._transport.abort()  # the server stops: nothing will be delivered any more
            else:
                await self._abort_response()
        finally:  # a done callback would take another turn of the event loop
            if self._task is not None:
                self._connection.server_state.tasks.discard(self._task)
            self._task = None  # breaks a reference cycle: a request must not wait for the garbage collector
            self._error = None  # its traceback has all that the application had read, and the connection may drain

    async def _abort_response(self) -> None:
        if self.response_started:
            self._connection.abandon()
        else:
            await self._send_error_response()

    def feed(self, payload: bytes, *, more_body: bool) -> None:
        """Buffer a part of the request body."""
        if self.response_ended:
            return
        self.more_body = more_body
        self.waiting_for_100_continue = False  # the client sent the body without waiting
        if payload:
            self._body_chunks.append(payload)
            self._buffered_bytes += len(payload)
            if more_body and self._buffered_bytes > HIGH_WATER_LIMIT:
                self._flow.pause_reading()
        self._wake()

    def fail(self, error: TenantryError) -> None:
        """The body is invalid or incomplete: the application's next ``receive`` raises the error."""
        self._error = error
        self.keep_alive = False
        self._body_chunks.clear()
        self._wake()

    def disconnect(self, *, half_close: bool = False) -> None:
        """The client has disconnected or, with ``half_close``, will send nothing more.

        A half-close looks like a disconnect. So the response is still written, and ``receive`` reports a disconnect.
        """
        self.keep_alive = False
        self._client_done = True
        self.disconnected = not half_close
        self._wake()

    def _wake(self) -> None:
        if self._wakeup is not None:
            self._wakeup.set()

    async def receive(self) -> ASGIReceiveEvent:
        """The next part of the body, or ``http.disconnect``. Raises the error that was given to ``fail``."""
        if self.waiting_for_100_continue and not self._client_done:
            self.waiting_for_100_continue = False
            self._transport.write(_CONTINUE)
        while not self._can_receive():
            if self._wakeup is None:
                self._wakeup = asyncio.Event()
            self._wakeup.clear()
            await self._wakeup.wait()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        if self._error is not None:
            raise self._error
        if self._end_of_body_sent:
            return {"type": "http.disconnect"}
        return self._next_body_event()

    @property
    def body_taken(self) -> bool:
        """The application has the whole body."""
        return self._end_of_body_sent

    def _can_receive(self) -> bool:
        ended = self.disconnected or self.response_complete or self._client_done or self._error is not None
        return ended or bool(self._body_chunks) or not (self.more_body or self._end_of_body_sent)

    def _next_body_event(self) -> ASGIReceiveEvent:
        body = b"".join(self._body_chunks)
        self._body_chunks.clear()
        self._buffered_bytes = 0
        self._end_of_body_sent = not self.more_body
        if self.more_body:
            self._flow.resume_reading()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: ASGISendEvent) -> None:
        """Raises RuntimeError for a message out of order or one that would corrupt the response."""
        if self._flow.write_paused and not (self.disconnected or self.response_ended):
            await self._wait_for_reader(for_all=False)
        if self.disconnected:
            return
        if message["type"] == "http.response.body" and self.response_started and not self.response_ended:
            self._send_body(message)
            if self.response_ended:
                if self._transport.get_write_buffer_size():  # rarely: the kernel takes a small response at once
                    await self._deliver()
                if not self.disconnected:
                    self._complete()
        elif message["type"] == "http.response.start" and not self.response_started:
            self.response_started = True
            self._start_response(message)
        else:
            raise RuntimeError(f"Unexpected ASGI message {message['type']!r}.")

    def _start_response(self, message: HTTPResponseStartEvent) -> None:
        status, connection = message["status"], self._connection
        lines, length, closes = connection.heads.write(
            status, connection.server_state.default_headers, message.get("headers", ())
        )
        if closes or (self.waiting_for_100_continue and self.more_body):
            self.keep_alive = False  # the client may or may not send its body now (RFC 9110 section 10.1.1)
        if not self.keep_alive and not closes:
            lines.append(b"connection: close\r\n")
        self.waiting_for_100_continue = False
        if self.scope["method"] == "HEAD" or status in _STATUSES_WITHOUT_BODY:
            length = 0
        elif length is None and self.scope["http_version"] == "1.1":
            length = CHUNKED
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        self._remaining = length
        self._pending_head = b"".join(lines)
        if length is None or length == CHUNKED:  # a stream: its first event may come much later
            self._write(b"")

    def _send_body(self, message: HTTPResponseBodyEvent) -> None:
        body, more = message.get("body", b""), message.get("more_body", False)
        if self.scope["method"] == "HEAD":
            body = b""
        elif self._remaining == CHUNKED:
            body = _chunk(body, last=not more)
        elif self._remaining is not None:
            remaining = self._remaining - len(body)
            if remaining < 0 or (remaining and not more):
                raise RuntimeError("The response body does not match its Content-Length.")
            self._remaining = remaining
        self._write(body)
        self.response_ended = not more

    async def _deliver(self) -> None:
        self._body_chunks.clear()
        self._flow.resume_reading()  # a client may read its response only after it has sent its body
        await self._wait_for_reader(for_all=True)

    def _complete(self) -> None:
        self.response_complete = True
        self._wake()
        self._connection.on_response_complete()

    async def _wait_for_reader(self, *, for_all: bool) -> None:
        if self._delivery is None:
            self._delivery = self._connection.delivery(self.scope)
        await self._delivery.wait(for_all=for_all)

    def _write(self, data: bytes) -> None:
        head, self._pending_head = self._pending_head, b""
        if head and len(data) > _MAX_JOINED:
            self._transport.writelines([head, data])
        elif head or data:
            self._transport.write(head + data)

    async def _send_error_response(self) -> None:
        status, headers, body = self._connection.error_response(self._error or Internal())
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def _chunk(data: bytes, *, last: bool) -> bytes:
    chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
    return chunk + b"0\r\n\r\n" if last else chunk
