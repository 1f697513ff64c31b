"""One connection: hostile bytes are refused where they arrive, and never seen by the application (PX5, PX7, PX8, DA2).

uvicorn's class for httptools, of which the life of a connection is kept. Its parser is not fed: what we accept was read
by a stricter grammar already, and a second reader of the same bytes could only find something else in them.
"""

import asyncio
import time
from typing import Any
from urllib.parse import unquote

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.http1.cycle import Cycle
from gateway.http1.refusal import Answer
from gateway.http1.request_body import ChunkedBody, DeclaredBody
from gateway.http1.request_head import CHUNKED, Head, HeadReader
from gateway.http1.shared import Limits, Shared
from gateway.problems.errors import MalformedRequest, PayloadTooLarge, RequestTimeout
from gateway.request.fields import FIELDS
from gateway.request.source import UNKNOWN
from gateway.settings import Settings
from tenants.errors import TenantryError


class EdgeProtocol(HttpToolsProtocol):
    """Reads requests one after another: the next head is looked at when the answer to the last request is complete."""

    cycle: Cycle  # the request in hand, or the last one

    def __init__(
        self,
        shared: Shared,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.heads = shared.heads
        self._shared = shared
        self._limits = shared.limits
        self._reader = HeadReader(shared.accepts)
        self._raw_root_path = self.root_path.encode("ascii")
        self._body: DeclaredBody | ChunkedBody | None = None  # of the request in hand, while more of it is to come
        self._held = b""  # bytes that cannot be read yet
        self._began = 0.0  # reading the head
        self._arrived = 0  # bytes of the body in this window
        self._draining = False  # refused: what still comes is dropped
        self._drained = 0  # bytes
        self._ended = False  # the client sends nothing more

    # The life of the connection, as transport and server tell it.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._shared.silence.wait(self, self._limits.first_byte)
        self._shared.make_room(len(self.connections))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.connections.discard(self)
        self._shared.silence.forget(self)
        if self.cycle is not None:
            self.cycle.leave()
        self.flow.resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._draining:
            self._drop(data)
            return
        if self._held:
            data, self._held = self._held + data, b""
        self._read(data)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn always closes
        """True while an answer is owed to a client that has only closed its own way."""
        self._ended = True
        cycle: Cycle | None = self.cycle
        if cycle is not None and self._body is None and not cycle.response_started:
            cycle.leave(reads=True)
            return True
        if self._held and not self._draining:
            self._refuse(MalformedRequest(detail="the request ends within its head"))
        return False

    # Reading.

    def _read(self, data: bytes) -> None:
        while data:
            cycle: Cycle | None = self.cycle
            if self._body is not None:
                data = self._read_body(self._body, data)
            elif cycle is not None and not cycle.response_complete:
                self._held = data
                self.flow.pause_reading()
                return
            else:
                data = self._read_head(data)

    def _read_head(self, data: bytes) -> bytes:
        try:
            head = self._reader.read(data)
            if head is None:
                self._await_rest(data)
                return b""
            if head[4].length > self._shared.body_limit:
                raise PayloadTooLarge
        except TenantryError as error:
            self._refuse(error)
            return b""
        rest = data[head[5] :]
        self._began = 0.0
        if head[4].length:
            self._await_body(head[4].length, len(rest))
        else:
            self._shared.silence.forget(self)
        self._start(head)
        return rest

    def _await_rest(self, head: bytes) -> None:
        self._held = head
        if not self._began:
            self._began = time.perf_counter()
            self._shared.silence.wait(self, self._limits.head)

    def _start(self, head: Head) -> None:
        method, raw_path, query, version, fields, _ = head
        path = raw_path.decode("ascii")
        scope: Any = {  # uvicorn's HTTPScope, and one key more
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "method": method,
            "root_path": self.root_path,
            "path": self.root_path + (unquote(path) if "%" in path else path),
            "raw_path": self._raw_root_path + raw_path,
            "query_string": query,
            "headers": fields.headers.copy(),
            "state": self.app_state.copy(),
            FIELDS: fields.remembered,
        }
        modern = version == "1.1"
        self.cycle = cycle = Cycle(
            self,
            scope,
            more_body=self._body is not None,
            keep_alive=modern and not fields.closes,
            expects=modern and fields.expects and self._body is not None,
        )
        refused = self.limit_concurrency is not None and self._overloaded(self.limit_concurrency)
        cycle.start(service_unavailable if refused else self.app, self.loop)

    def _await_body(self, length: int, here: int) -> None:
        self._body = ChunkedBody(self._shared.body_limit) if length == CHUNKED else DeclaredBody(length)
        self._arrived = 0
        if length == CHUNKED or length > here:
            self._shared.silence.wait(self, self._limits.body_window)
        else:
            self._shared.silence.forget(self)

    def _overloaded(self, most: int) -> bool:
        return len(self.connections) >= most or len(self.tasks) >= most

    def _read_body(self, body: DeclaredBody | ChunkedBody, data: bytes) -> bytes:
        self._arrived += len(data)
        try:
            payload, rest = body.feed(data)
        except TenantryError as error:
            self._give_up(error)
            return b""
        if body.ended:
            self._body = None
            self._shared.silence.forget(self)
            if self.cycle.response_complete:
                self._shared.silence.wait(self, self.timeout_keep_alive)
        self.cycle.feed(payload, more_body=not body.ended)
        return rest

    # Answering.

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if not self.cycle.keep_alive:
            self._part()
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self._body is None:
            self._shared.silence.wait(self, self.timeout_keep_alive)
        if self._held:
            held, self._held = self._held, b""
            self._read(held)

    def explain(self, error: TenantryError) -> Answer:
        """As a problem document, and in the log."""
        seconds = time.perf_counter() - self._began if self._began else 0.0
        return self._shared.refusals.answer(error, self.client[0] if self.client else UNKNOWN, seconds)

    # Parting.

    def _refuse(self, error: TenantryError) -> None:
        status, headers, body = self.explain(error)
        lines, _, _ = self.heads.write(status, self.server_state.default_headers, headers)
        self.transport.write(b"".join([*lines, b"\r\n", body]))
        self._drain()

    def _give_up(self, error: TenantryError) -> None:
        """No more of this body is read. Whoever asks for it hears why, and the connection ends with the answer."""
        self._shared.silence.forget(self)
        if self.cycle.response_complete:
            self._drain()
            return
        self.cycle.fail(error)
        self.flow.pause_reading()

    def _part(self) -> None:
        if self._body is not None or self._held:
            self._drain()
        else:
            self.transport.close()

    def _drain(self) -> None:
        """Say that nothing more will come, and read on for a while.

        Closing with unread bytes makes the kernel send a reset, on which clients drop the answer unread (RFC 9112
        section 9.6).
        """
        self._draining = True
        self._held, self._body = b"", None
        if self._ended:
            self.transport.close()
            return
        self._shared.silence.wait(self, self._limits.drain)
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _drop(self, data: bytes) -> None:
        self._drained += len(data)
        if self._drained > self._limits.most_drained:
            self.transport.abort()

    # What patience ends with.

    def on_silence(self) -> None:
        """The client has sent nothing, or not enough, for as long as it may."""
        if self._draining:
            self.transport.abort()
        elif self._body is not None:
            self._judge_pace()
        elif self._held:
            self._refuse(RequestTimeout(detail="the head took too long"))
        else:
            self.transport.close()

    def _judge_pace(self) -> None:
        waits_for_us = self.flow.read_paused or self.cycle.waiting_for_100_continue
        if self._arrived < self._limits.least_in_window and not waits_for_us:
            self._give_up(RequestTimeout(detail="the body came too slowly"))
            return
        self._arrived = 0
        self._shared.silence.wait(self, self._limits.body_window)

    def make_room(self) -> None:
        """There are too many connections, and of all clients this one keeps us waiting the longest."""
        self.transport.abort()


class EdgeProtocols:
    """Makes the protocol of each connection: what ``uvicorn.Config(http=...)`` is given in place of a class.

    It travels to worker processes with nothing but the settings in it; what their connections share is made with the
    first of them.
    """

    def __init__(self, settings: Settings, limits: Limits | None = None) -> None:
        self._settings = settings
        self._limits = limits or Limits()
        self._shared: Shared | None = None

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> EdgeProtocol:
        """As uvicorn calls a protocol class, in the loop that serves."""
        if self._shared is None:
            self._shared = Shared(self._settings, self._limits, asyncio.get_running_loop())
        return EdgeProtocol(self._shared, config, server_state, app_state, _loop)
