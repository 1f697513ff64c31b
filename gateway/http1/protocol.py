"""One HTTP/1.1 connection: invalid bytes are rejected here and never reach the application (PX5, PX7, PX8, DA2).

It subclasses uvicorn's httptools protocol and keeps its connection handling, but never feeds its parser: the request
was already parsed by a stricter grammar, and a second parser could only find a different request in the same bytes
(docs/decisions/0013-a-strict-http-parser-of-our-own.md).
"""

import asyncio
import time
from typing import Any
from urllib.parse import unquote

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.http1.cycle import RequestCycle
from gateway.http1.delivery import Delivery
from gateway.http1.held_memory import MemoryShort
from gateway.http1.request_body import ChunkedBody, DeclaredBody
from gateway.http1.request_head import CHUNKED, HeadReader, RequestHead
from gateway.http1.rules import Rule, UnreadableRequest
from gateway.http1.shared_state import ErrorResponse, SharedState
from gateway.problems.errors import PayloadTooLarge, RequestTimeout
from gateway.request.fields import FIELDS
from gateway.request.source import UNKNOWN
from tenants.errors import TenantryError

_PIECE_OVERHEAD = 64  # bytes of memory for each read of a body beyond its own: a megabyte may arrive byte by byte


class Http1Protocol(HttpToolsProtocol):
    """Handles requests one at a time: the next head is parsed when the last response is complete."""

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
        self.heads = shared.heads
        self._shared = shared
        self._limits = shared.limits
        self._timeouts = shared.timeouts
        self._reader = HeadReader()
        self._raw_root_path = self.root_path.encode("ascii")
        self._body: DeclaredBody | ChunkedBody | None = None  # of the current request, until its end has arrived
        self._buffer = b""  # received, and not parsed yet
        self._head_started = 0.0  # time.perf_counter() of the first byte of an incomplete head
        self._peer_source: str | None = None  # that requests count for; None behind a trusted proxy
        self._body_began = 0.0  # seconds of the event loop's clock
        self._body_grace = 0.0  # seconds
        self._body_bytes = 0  # received of it, framing included
        self._body_held = 0  # bytes of memory that the current request's body takes
        self._held = 0  # bytes of memory that are counted for this connection's input
        self._input_dropped = False  # bytes after the current request were discarded
        self._draining = False  # after an error response: input is discarded
        self._drained = 0  # bytes
        self._client_done = False  # EOF received

    # Connection events.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._peer_source = self._shared.peer_source(self.client)
        self._timeouts.set(self, self._limits.first_byte)
        self._shared.enforce_connection_limit(len(self.connections))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.connections.discard(self)
        self._timeouts.cancel(self)
        self._free_input()
        if self.cycle is not None:
            self.cycle.disconnect()
        self.flow.resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._draining:
            self._discard(data)
            return
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        self._parse(data)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn always closes
        """True keeps the connection open for a response after the client has half-closed it."""
        self._client_done = True
        cycle: RequestCycle | None = self.cycle
        if cycle is not None and self._body is None and not cycle.response_started:
            cycle.disconnect(half_close=True)
            return True
        if self._buffer and not self._draining:
            self._reject(UnreadableRequest(Rule.HEAD_INCOMPLETE))
        return False

    # Requests.

    def _parse(self, data: bytes) -> None:
        while data:
            cycle: RequestCycle | None = self.cycle
            if self._body is not None:
                data = self._read_body(self._body, data)
            elif cycle is not None and not cycle.response_complete:
                self._buffer = data
                self.flow.pause_reading()
                self._count_input()
                return
            else:
                data = self._read_head(data)

    def _read_head(self, data: bytes) -> bytes:
        try:
            head = self._reader.read(data)
            if head is None:
                self._wait_for_head(data)
                return b""
            length = head.fields.length
            if length > self._shared.body_limit:
                raise PayloadTooLarge
        except TenantryError as error:
            self._reject(error)
            return b""
        rest = data[head.size :]
        self._head_started = 0.0
        if self._held:
            self._count_input()
        if length:
            self._expect_body(length, len(rest))
        else:
            self._timeouts.cancel(self)
        self._start(head)
        return rest

    def _wait_for_head(self, partial: bytes) -> None:
        self._buffer = partial
        if not self._head_started:
            self._head_started = time.perf_counter()
            self._timeouts.set(self, self._limits.head)
        self._count_input()

    def _start(self, head: RequestHead) -> None:
        fields, path = head.fields, head.path.decode("ascii")
        is_1_1 = head.version == "1.1"
        scope: Any = {  # uvicorn's HTTPScope and one more key
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": head.version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "method": head.method,
            "root_path": self.root_path,
            "path": self.root_path + (unquote(path) if "%" in path else path),
            "raw_path": self._raw_root_path + head.path,
            "query_string": head.query,
            "headers": fields.headers.copy(),
            "state": self.app_state.copy(),
            FIELDS: fields.request_fields,
        }
        self.cycle = cycle = RequestCycle(
            self,
            scope,
            more_body=self._body is not None,
            keep_alive=is_1_1 and not fields.closes,
            expects=is_1_1 and fields.expects and self._body is not None,
        )
        rejected = self.limit_concurrency is not None and self._exceeds(self.limit_concurrency)
        cycle.start(service_unavailable if rejected else self.app, self.loop)

    def _exceeds(self, limit: int) -> bool:
        return len(self.connections) >= limit or len(self.tasks) >= limit

    def _expect_body(self, length: int, received: int) -> None:
        self._body = ChunkedBody(self._shared.body_limit) if length == CHUNKED else DeclaredBody(length)
        if length == CHUNKED or length > received:
            self._body_began, self._body_grace, self._body_bytes = self.loop.time(), self._limits.grace, 0
            self._timeouts.set(self, self._limits.grace)
        else:
            self._timeouts.cancel(self)

    def _read_body(self, body: DeclaredBody | ChunkedBody, data: bytes) -> bytes:
        try:
            payload, rest = body.feed(data)
        except TenantryError as error:
            self._abort_body(error)
            return b""
        self._body_bytes += len(data) - len(rest)
        if body.ended:
            self._body = None
            self._timeouts.cancel(self)
            if self.cycle.response_complete:
                self._timeouts.set(self, self.timeout_keep_alive)
        self.cycle.feed(payload, more_body=not body.ended)
        if not self.cycle.response_ended:
            self._body_held += len(data) - len(rest) + _PIECE_OVERHEAD
            self._count_input()
        return rest

    # Memory.

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

    def delivery(self, scope: Any) -> Delivery:
        """The delivery of a response to this connection's client."""
        return Delivery(self._shared.deliveries, self.transport, self.flow, scope, self._source())

    def shed(self) -> None:
        """Free the input that is not with the application yet: others need the memory more."""
        cycle: RequestCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self._reject(MemoryShort(detail="held memory, in the head"))
            return
        if self._buffer:
            self._buffer, self._input_dropped = b"", True
            cycle.keep_alive = False
            self._count_input()
        if not (cycle.body_taken or cycle.response_ended):
            self._abort_body(MemoryShort(detail="held memory, in the body"))

    # Responses.

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self._held:
            self._body_held = 0
            self._count_input()
        if not self.cycle.keep_alive:
            self._close()
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self._body is None:
            self._timeouts.set(self, self.timeout_keep_alive)
        if self._buffer:
            data, self._buffer = self._buffer, b""
            self._parse(data)

    def error_response(self, error: TenantryError) -> ErrorResponse:
        """A problem document. The error is logged."""
        seconds = time.perf_counter() - self._head_started if self._head_started else 0.0
        return self._shared.errors.respond(error, self.client[0] if self.client else UNKNOWN, seconds)

    def _reject(self, error: TenantryError) -> None:
        """Respond to an invalid request without the application."""
        status, headers, body = self.error_response(error)
        lines, _, _ = self.heads.write(status, self.server_state.default_headers, headers)
        self.transport.write(b"".join([*lines, b"\r\n", body]))
        self._drain()

    def _abort_body(self, error: TenantryError) -> None:
        """Stop reading the body. The application gets the error, and the connection closes after the response."""
        self._timeouts.cancel(self)
        self._body_held = 0
        self._count_input()
        if self.cycle.response_complete:
            self._drain()
            return
        self.cycle.fail(error)
        self.flow.pause_reading()

    # Closing.

    def _close(self) -> None:
        if self._body is not None or self._buffer or self._input_dropped:
            self._drain()
        else:
            self.transport.close()

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

    def abandon(self) -> None:
        """Close when the client has read what was sent of an incomplete response, at most as long as draining takes."""
        self._draining = True
        self._timeouts.set(self, self._limits.drain)
        self.transport.close()

    def _discard(self, data: bytes) -> None:
        self._drained += len(data)
        if self._drained > self._limits.max_drained:
            self.transport.abort()

    # Timeouts.

    def on_timeout(self) -> None:
        """The client has sent nothing, or not enough, in the time that it has for it."""
        if self._draining:
            self.transport.abort()
        elif self._body is not None:
            self._check_body_rate()
        elif self._buffer:
            self._reject(RequestTimeout(detail="the head took too long"))
        else:
            self.transport.close()

    def _check_body_rate(self) -> None:
        """Judge the rate over the whole body: what came fast at first buys time at that rate only, and no more."""
        if self.flow.read_paused or self.cycle.waiting_for_100_continue:  # the client waits for the application
            self._body_grace += self._limits.grace
        allowed = self._body_grace + self._body_bytes / self._limits.min_rate
        left = self._body_began + allowed - self.loop.time()
        if left > 0:
            self._timeouts.set(self, left)
        else:
            self._abort_body(RequestTimeout(detail="the body arrived too slowly"))

    def evict(self) -> None:
        """Close at once: there are too many connections, and this client has been silent the longest."""
        self.transport.abort()
