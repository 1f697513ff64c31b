"""The input of one connection: bodies, the memory that they take, and what is discarded before a close."""

import asyncio
from abc import abstractmethod
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.http1.body_pace import BodyPace
from gateway.http1.cycle import RequestCycle
from gateway.http1.request_body import ChunkedBody, DeclaredBody
from gateway.http1.request_head import CHUNKED
from gateway.http1.shared_state import SharedState
from gateway.problems.errors import RequestTimeout
from gateway.request.fields import FIELDS
from tenants.errors import TenantryError

_PIECE_OVERHEAD = 64  # bytes of memory for each read of a body beyond its own: a megabyte may arrive byte by byte


class ConnectionInput(HttpToolsProtocol):
    """The part of a connection that reads bodies. What finds the requests is in ``Http1Protocol``."""

    cycle: RequestCycle  # type: ignore[assignment]  # in place of uvicorn's: the current request, or the last one

    def __init__(
        self,
        shared: SharedState,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.body_limit = shared.body_limit
        self._shared = shared
        self._limits = shared.limits
        self._timeouts = shared.timeouts
        self._body: DeclaredBody | ChunkedBody | None = None  # of the current request, until its end has arrived
        self._pace: BodyPace | None = None  # of a body that did not come with its head
        self._buffer = b""  # received, and not parsed yet
        self._peer_source: str | None = None  # that requests count for; None behind a trusted proxy
        self._body_held = 0  # bytes of memory that the current request's body takes
        self._held = 0  # bytes of memory that are counted for this connection's input
        self._draining = False  # after an error response: input is discarded
        self._drained = 0  # bytes
        self._client_done = False  # EOF received

    @abstractmethod
    def on_timeout(self) -> None:
        """The client has sent nothing, or not enough, in the time that it has for it."""

    @abstractmethod
    def evict(self) -> None:
        """Close at once, to free the connection for another client."""

    @abstractmethod
    def shed(self) -> None:
        """Free the input that is not with the application yet: others need the memory more."""

    # Bodies.

    def _expect_body(self, length: int, received: int) -> None:
        self._body = ChunkedBody() if length == CHUNKED else DeclaredBody(length)
        if length == CHUNKED or length > received:
            self._pace = BodyPace(self._limits, self.loop.time())
            self._timeouts.set(self, self._limits.grace)
        else:
            self._pace = None
            self._timeouts.cancel(self)

    def _read_body(self, body: DeclaredBody | ChunkedBody, data: bytes) -> bytes:
        try:
            payload, rest = body.feed(data)
        except TenantryError as error:
            self.abort_body(error)
            return b""
        if self._pace is not None:
            self._pace.received += len(data) - len(rest)
        if body.ended:
            self._body = None
            self._timeouts.cancel(self)
            if self.cycle.response_complete:
                self._timeouts.set(self, self.timeout_keep_alive)
        cycle = self.cycle
        cycle.feed(payload, more_body=not body.ended)
        if cycle.streams_body:
            self.hold_body(cycle.buffered_bytes)
        elif not cycle.response_ended:
            self.hold_body(self._body_held + len(data) - len(rest) + _PIECE_OVERHEAD)
        return rest

    def pause_body(self) -> None:
        """Read no more of the body until ``resume_body``: the application has enough to take."""
        if self._pace is not None and not self.flow.read_paused:
            self._pace.pause(self.loop.time())
        self.flow.pause_reading()

    def resume_body(self) -> None:
        """Read on, if reading was paused."""
        if self.flow.read_paused:
            if self._pace is not None:
                self._pace.resume(self.loop.time())
            self.flow.resume_reading()

    def bound_rest(self) -> bool:
        """Whether the rest of a body that the application does not read is read and discarded, so that another request
        can follow. Otherwise the connection closes after the response.
        """
        body = self._body
        if self.cycle.streams_body and isinstance(body, ChunkedBody):
            return False  # the application may still read it
        return body is None or body.bound_rest(self.body_limit)

    def abort_body(self, error: TenantryError) -> None:
        """Stop reading the body. The application gets the error, and the connection closes after the response."""
        self._timeouts.cancel(self)
        self._body_held = 0
        self._count_input()
        if self.cycle.response_complete:
            self._drain()
            return
        self.cycle.fail(error)
        self.flow.pause_reading()

    def _check_body_rate(self) -> None:
        """Judge the rate over the whole body: what came fast at first buys time at that rate only, and no more."""
        pace = self._pace or BodyPace(self._limits, self.loop.time())
        if self.flow.read_paused or self.cycle.waiting_for_100_continue:  # the client waits for the application
            pace.grace += self._limits.grace
        left = pace.seconds_left(self.loop.time())
        if left > 0:
            self._timeouts.set(self, left)
        else:
            self.abort_body(RequestTimeout(detail="the body arrived too slowly"))

    # Memory.

    def hold_body(self, size: int) -> None:
        """The body of the current request takes ``size`` bytes of memory from now on."""
        self._body_held = size
        self._count_input()

    def _count_input(self) -> None:
        """Count the current request's body, also what the application has read, and bytes that wait to be parsed."""
        size = self._body_held + len(self._buffer)
        if size != self._held:
            self._held = size
            self._shared.memory.hold(self, size, self._source() if self._body_held else self._peer_source)

    def _free_input(self) -> None:
        self._buffer, self._body_held = b"", 0
        self._count_input()

    def _source(self) -> str | None:
        scope: Any = self.cycle.scope
        return self._peer_source or self._shared.request_source(scope, scope[FIELDS])

    # Discarding.

    def _drain(self) -> None:
        """Half-close, then discard input for a while.

        A close with unread bytes would make the kernel send a reset, on which clients drop the response unread
        (RFC 9112 section 9.6).
        """
        self._draining = True
        self._body = None
        self._free_input()
        if self._client_done:
            self.transport.close()
            return
        self._timeouts.set(self, self._limits.drain)
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _discard(self, data: bytes) -> None:
        self._drained += len(data)
        if self._drained > self._limits.max_drained:
            self.transport.abort()
