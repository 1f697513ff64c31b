"""What a request and its client give to the application: the body, and the client's end."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from uvicorn._types import ASGIReceiveEvent, HTTPScope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl

from gateway.http1.request_body import ChunkedBody, DeclaredBody
from gateway.problems.errors import PayloadTooLarge
from tenants.errors import TenantryError

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Body = DeclaredBody | ChunkedBody


class InputConnection(Protocol):
    """What the input of a request needs of its connection."""

    transport: asyncio.Transport
    flow: FlowControl
    body_limit: int  # bytes, of a body whose route has no bound of its own
    shutting_down: bool

    def pause_body(self) -> None:
        """Read no more of the body until ``resume_body``: the application has enough to take."""

    def resume_body(self) -> None:
        """Read on, if reading was paused."""

    def hold_body(self, size: int) -> None:
        """The body takes ``size`` bytes of memory from now on."""

    def abort_body(self, error: TenantryError) -> None:
        """Stop reading the body. The application gets the error, and the connection closes after the response."""

    def cut_short(self, reason: str) -> None:
        """Close at once."""


class RequestInput:
    """Implements ASGI's ``receive`` for one request, and what the gateway's own applications need beyond it.

    The body is bounded when it is first asked for: by ``stream_body``, which an application calls whose route has a
    bound of its own, otherwise by that of the server. Until then at most a read beyond 64 KB of it is held.
    """

    __slots__ = (
        "_body_chunks",
        "_buffered_bytes",
        "_client_done",
        "_connection",
        "_end_of_body_sent",
        "_error",
        "_flow",
        "_on_disconnect",
        "_on_shutdown",
        "_transport",
        "_unbounded",
        "_wakeup",
        "body_length",
        "disconnected",
        "keep_alive",
        "more_body",
        "response_complete",
        "response_ended",
        "response_started",
        "scope",
        "streams_body",
        "waiting_for_100_continue",
    )

    def __init__(
        self,
        connection: InputConnection,
        scope: HTTPScope,
        body: Body | None,
        *,
        length: int,
        keep_alive: bool,
        expects: bool,
    ) -> None:
        self.scope = scope
        self.body_length = length  # bytes that the head declares, 0 without a body, or CHUNKED
        self.more_body = body is not None
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expects
        self.streams_body = False  # the application passes the body on while it arrives
        self.disconnected = False  # nothing can be written any more
        self.response_started = False
        self.response_ended = False  # the application has sent its end
        self.response_complete = False  # the kernel has all of it
        self._connection = connection
        self._transport: asyncio.Transport = connection.transport
        self._flow: FlowControl = connection.flow
        self._unbounded = body  # until its bound is known
        self._client_done = False  # it sends nothing more, and may still read
        self._error: TenantryError | None = None  # in the body
        self._wakeup: asyncio.Event | None = None  # created only when the application has to wait
        self._body_chunks: list[bytes] = []
        self._buffered_bytes = 0  # in _body_chunks
        self._end_of_body_sent = False  # to the application
        self._on_disconnect: Callable[[], None] | None = None
        self._on_shutdown: Callable[[], None] | None = None

    # For the connection.

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
                self._connection.pause_body()
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
        callback, self._on_disconnect = self._on_disconnect, None
        if callback is not None:
            callback()

    def shut_down(self) -> None:
        """The server stops."""
        callback, self._on_shutdown = self._on_shutdown, None
        if callback is not None:
            callback()

    @property
    def body_taken(self) -> bool:
        """The application has the whole body."""
        return self._end_of_body_sent

    @property
    def buffered_bytes(self) -> int:
        """Bytes of the body that the application has not taken."""
        return self._buffered_bytes

    @property
    def listens(self) -> bool:
        """The application must be told when the client goes, and can then be ended at any time."""
        return self._on_disconnect is not None

    # For the application.

    async def receive(self) -> ASGIReceiveEvent:
        """The next part of the body, or ``http.disconnect``. Raises the error that was given to ``fail``."""
        if self._unbounded is not None and not self._is_bounded(self._connection.body_limit):
            self._connection.abort_body(PayloadTooLarge())
        if self.streams_body:
            self._connection.hold_body(self._buffered_bytes)  # what was taken before is passed on
        if self.waiting_for_100_continue and not self._client_done and self._error is None:
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
        body = self._take_body()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    # As ``Client`` documents it.

    @property
    def left(self) -> bool:
        return self._client_done

    def stream_body(self, limit: int) -> None:
        self.streams_body = True
        if not self._is_bounded(limit):
            self._error = PayloadTooLarge.of_route(limit)
        if self._error is not None:
            raise self._error

    def whole_body(self) -> bytes | None:
        return None if self.more_body or self._error is not None else self._take_body()

    def on_disconnect(self, callback: Callable[[], None] | None) -> None:
        self._on_disconnect = callback
        if callback is not None and self._client_done:
            self.cut_short("client_gone")

    def on_shutdown(self, callback: Callable[[], None]) -> None:
        self._on_shutdown = callback
        if self._connection.shutting_down:
            self.shut_down()

    def cut_short(self, reason: str) -> None:
        self._connection.cut_short(reason)
        self.disconnect()

    def _is_bounded(self, limit: int) -> bool:
        body, self._unbounded = self._unbounded, None
        return body is None or body.bound(limit)

    def _take_body(self) -> bytes:
        body = b"".join(self._body_chunks)
        self._body_chunks.clear()
        self._buffered_bytes = 0
        self._end_of_body_sent = not self.more_body
        if self.more_body:
            self._connection.resume_body()
        return body

    def _can_receive(self) -> bool:
        ended = self.disconnected or self.response_complete or self._client_done or self._error is not None
        return ended or bool(self._body_chunks) or not (self.more_body or self._end_of_body_sent)

    def _wake(self) -> None:
        if self._wakeup is not None:
            self._wakeup.set()
