"""One request and its response, between a connection and the application.

It replaces uvicorn's ``RequestResponseCycle``, of which uvicorn's server and protocol read ``keep_alive``,
``response_started`` and ``response_complete``. Errors in the body are raised by ``receive``, so that the gate answers
them like any other error. A response of one piece is sent in one write. The last ``send`` returns when the kernel has
the whole response: until then the request is in flight, and the connection reads no further one.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from uvicorn._types import (
    ASGI3Application,
    ASGISendEvent,
    HTTPResponseStartEvent,
    HTTPScope,
)
from uvicorn.server import ServerState

from gateway.http1.delivery import Delivery
from gateway.http1.held_memory import HeldMemory
from gateway.http1.request_head import CHUNKED
from gateway.http1.request_input import Body, InputConnection, RequestInput
from gateway.http1.response_head import HeadWriter
from gateway.http1.shared_state import ErrorResponse
from gateway.problems.errors import Internal
from gateway.request.client import CLIENT, PROXIED, WHOLE_BODY
from gateway.request.fields import Field
from tenants.errors import TenantryError

_SWITCHING_PROTOCOLS = 101
_STATUSES_WITHOUT_BODY = frozenset({204, 304})  # and every response to HEAD (RFC 9110 section 6.4.1)
_EVENTS = b"text/event-stream"
_LAST_CHUNK = b"0\r\n\r\n"
_MAX_JOINED = 16_384  # bytes of a body up to which copying it behind the head is cheaper than a second buffer


class TakenConnection(NamedTuple):
    """A connection that has another protocol now."""

    transport: asyncio.Transport
    received: bytes  # from the client, after its request
    lost: Callable[[Exception | None], None]  # the new protocol must call it from its ``connection_lost``
    memory: HeldMemory
    source: str | None  # that memory counts for


class CycleConnection(InputConnection, Protocol):
    """What a cycle needs of its connection."""

    logger: logging.Logger
    server_state: ServerState
    heads: HeadWriter

    def error_response(self, error: TenantryError) -> ErrorResponse:
        """The response to an error that the application did not handle. It is logged."""

    def delivery(self, scope: HTTPScope) -> Delivery:
        """For a response that has to wait for its reader."""

    def on_response_complete(self) -> None:
        """The kernel has taken the last byte of the response."""

    def bound_rest(self) -> bool:
        """Whether the rest of the request's body is read and discarded, so that another request can follow."""

    def abandon(self) -> None:
        """Close, and let the client read for a short time what was sent of an incomplete response."""

    def reset(self) -> None:
        """Close at once, with a reset."""

    def end_stream(self) -> None:
        """Close when the client has what was written: the server stops."""

    def hand_over(self, protocol: asyncio.BaseProtocol) -> TakenConnection:
        """Give the transport to another protocol."""


class RequestCycle(RequestInput):
    """Implements ASGI's ``receive`` and ``send`` for one request. The application finds it under ``CLIENT``."""

    __slots__ = ("_delivery", "_is_event_stream", "_pending_head", "_remaining", "_task", "taken_over")

    _connection: CycleConnection

    def __init__(
        self,
        connection: CycleConnection,
        scope: HTTPScope,
        body: Body | None,
        *,
        length: int,
        keep_alive: bool,
        expects: bool,
    ) -> None:
        super().__init__(connection, scope, body, length=length, keep_alive=keep_alive, expects=expects)
        self.taken_over = False  # by another protocol
        self._is_event_stream = False
        self._delivery: Delivery | None = None  # created only when the response has to wait
        self._task: asyncio.Task[None] | None = None
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
            self.scope.pop(CLIENT, None)  # type: ignore[misc]  # breaks another one
            self._error = None  # its traceback has all that the application had read, and the connection may drain

    @property
    def ends_with_connection(self) -> bool:
        """The end of the connection is that of the body: closing as usual would complete it."""
        return self.response_started and self._remaining is None

    async def _abort_response(self) -> None:
        if self.ends_with_connection:
            self._connection.reset()
        elif self.response_started:
            self._connection.abandon()
        else:
            await self._send_error_response()

    async def send(self, message: ASGISendEvent) -> None:
        """Raises RuntimeError for a message out of order or one that would corrupt the response."""
        if self._flow.write_paused and not (self.disconnected or self.response_ended):
            await self._wait_for_reader(for_all=False)
        if self.disconnected:
            return
        if message["type"] == "http.response.body" and self.response_started and not self.response_ended:
            self._send_body(message.get("body", b""), more=message.get("more_body", False))
        elif message["type"] == "http.response.start" and not self.response_started:
            self.response_started = True
            self._start_response(message)
            whole: Any = message.get(WHOLE_BODY)
            if whole is None:
                return
            self._send_body(whole, more=False)
        else:
            raise RuntimeError(f"Unexpected ASGI message {message['type']!r}.")
        if self.response_ended:
            if self._transport.get_write_buffer_size():  # rarely: the kernel takes a small response at once
                await self._deliver()
            if not self.disconnected:
                self._complete()

    def _start_response(self, message: HTTPResponseStartEvent) -> None:
        status, connection = message["status"], self._connection
        switches = status == _SWITCHING_PROTOCOLS
        server_headers = [] if switches else connection.server_state.default_headers
        proxied: Any = message.get(PROXIED, False)
        headers = message.get("headers", ())
        lines, length, closes = connection.heads.write(status, server_headers, headers, proxied=proxied)
        if closes or (self.more_body and not self._rest_is_read()):
            self.keep_alive = False
        if not (self.keep_alive or closes or switches):
            lines.append(b"connection: close\r\n")
        self.waiting_for_100_continue = False
        if self.scope["method"] == "HEAD" or status in _STATUSES_WITHOUT_BODY:
            length = 0
        elif length is None and self.scope["http_version"] == "1.1" and not switches:
            length = CHUNKED
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        self._remaining = length
        self._pending_head = b"".join(lines)
        if (length is None or length == CHUNKED) and WHOLE_BODY not in message:  # its first event may come much later
            self._write(b"")
            self._is_event_stream = _is_event_stream(message.get("headers", ()))
            if connection.shutting_down:
                self.shut_down()

    def _send_body(self, body: bytes, *, more: bool) -> None:
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

    def _rest_is_read(self) -> bool:
        """Whether the connection goes on after a response that is sent before the end of the request's body."""
        if self.waiting_for_100_continue:
            return False  # the client may or may not send its body now (RFC 9110 section 10.1.1)
        return self._connection.bound_rest()

    def shut_down(self) -> None:
        """The server stops. A stream of events ends as one that is complete: its client connects again (OP1)."""
        super().shut_down()
        if self._is_event_stream and not (self.response_ended or self.disconnected):
            self.response_ended = True
            if self._remaining == CHUNKED:
                self._transport.write(_LAST_CHUNK)
            self._connection.end_stream()
            self.disconnect()

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

    def take_over(self, protocol: asyncio.BaseProtocol) -> TakenConnection:
        """After a response with status 101: the connection has ``protocol`` until it closes.

        The application must return only then.
        """
        self.taken_over = self.response_ended = self.response_complete = True
        return self._connection.hand_over(protocol)

    async def _send_error_response(self) -> None:
        status, headers, body = self._connection.error_response(self._error or Internal())
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def _chunk(data: bytes, *, last: bool) -> bytes:
    chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
    return chunk + _LAST_CHUNK if last else chunk


def _is_event_stream(headers: Iterable[Field]) -> bool:
    return any(name.lower() == b"content-type" and value.lower().startswith(_EVENTS) for name, value in headers)
