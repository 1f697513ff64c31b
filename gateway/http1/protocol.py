"""One HTTP/1.1 connection: invalid bytes are rejected here and never reach the application (PX5, PX7, PX8, DA2).

It subclasses uvicorn's httptools protocol and keeps its connection handling, but never feeds its parser: the request
was already parsed by a stricter grammar, and a second parser could only find a different request in the same bytes
(docs/decisions/0013-a-strict-http-parser-of-our-own.md).
"""

import asyncio
import contextlib
import socket
import struct
import time
from typing import Any
from urllib.parse import unquote

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.server import ServerState

from gateway.http1.connection_input import ConnectionInput
from gateway.http1.cycle import RequestCycle, TakenConnection
from gateway.http1.delivery import Delivery
from gateway.http1.held_memory import MemoryShort
from gateway.http1.request_head import HeadReader, RequestHead
from gateway.http1.rules import Rule, UnreadableRequest
from gateway.http1.shared_state import ErrorResponse, SharedState
from gateway.problems.errors import RequestTimeout
from gateway.request.client import CLIENT
from gateway.request.context import CUT_SHORT
from gateway.request.fields import FIELDS
from gateway.request.source import UNKNOWN
from tenants.errors import TenantryError

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER


class Http1Protocol(ConnectionInput):
    """Handles requests one at a time: the next head is parsed when the last response is complete."""

    def __init__(
        self,
        shared: SharedState,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(shared, config, server_state, app_state, _loop)
        self.heads = shared.heads
        self.shutting_down = False
        self._reader = HeadReader()
        self._raw_root_path = self.root_path.encode("ascii")
        self._head_started = 0.0  # time.perf_counter() of the first byte of an incomplete head
        self._input_dropped = False  # bytes after the current request were discarded

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
            if cycle.listens:
                cycle.scope[CUT_SHORT] = "client_gone"  # type: ignore[literal-required]
                return False
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
        except TenantryError as error:
            self._reject(error)
            return b""
        rest = data[head.size :]
        self._head_started = 0.0
        if self._held:
            self._count_input()
        if head.fields.length:
            self._expect_body(head.fields.length, len(rest))
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
        self.cycle = scope[CLIENT] = cycle = RequestCycle(
            self,
            scope,
            self._body,
            length=fields.length,
            keep_alive=is_1_1 and not fields.closes,
            expects=is_1_1 and fields.expects and self._body is not None,
        )
        rejected = self.limit_concurrency is not None and self._exceeds(self.limit_concurrency)
        cycle.start(service_unavailable if rejected else self.app, self.loop)

    def _exceeds(self, limit: int) -> bool:
        return len(self.connections) >= limit or len(self.tasks) >= limit

    # Memory.

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
            self.abort_body(MemoryShort(detail="held memory, in the body"))

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

    # Closing.

    def shutdown(self) -> None:
        """The server stops, and waits for the current request."""
        self.shutting_down = True
        cycle: RequestCycle | None = self.cycle
        if cycle is None or not cycle.taken_over:
            super().shutdown()
        if cycle is not None:
            cycle.shut_down()

    def hand_over(self, protocol: asyncio.BaseProtocol) -> TakenConnection:
        """Give the transport to another protocol. The connection still counts as one of the server's."""
        received, self._buffer = self._buffer, b""
        self._free_input()
        self._timeouts.cancel(self)
        self.transport.set_protocol(protocol)
        self.flow.resume_reading()
        return TakenConnection(self.transport, received, self.connection_lost, self._shared.memory, self._source())

    def cut_short(self, reason: str) -> None:
        """Close at once: the current response looks incomplete."""
        self.cycle.scope[CUT_SHORT] = reason  # type: ignore[literal-required]
        if self.cycle.ends_with_connection:
            self.reset()
        else:
            self.transport.abort()

    def end_stream(self) -> None:
        """Close when the client has what was written: the server stops."""
        self.cycle.scope[CUT_SHORT] = "shutdown"  # type: ignore[literal-required]
        self.transport.close()

    def reset(self) -> None:
        """Close at once, with a reset: what was sent must not look complete."""
        with contextlib.suppress(OSError):
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def _close(self) -> None:
        if self._body is not None or self._buffer or self._input_dropped:
            self._drain()
        else:
            self.transport.close()

    def abandon(self) -> None:
        """Close when the client has read what was sent of an incomplete response, at most as long as draining takes."""
        self._draining = True
        self._timeouts.set(self, self._limits.drain)
        self.transport.close()

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

    def evict(self) -> None:
        """Close at once: there are too many connections, and this client has been silent the longest."""
        self.transport.abort()
