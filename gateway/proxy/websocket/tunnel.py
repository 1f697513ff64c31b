"""An open WebSocket: a connection to the client and one to the upstream.

Each is read only as fast as the other is written. A close frame of ours is sent between two frames. One that is under
way may be completed for a moment; then the connection is reset: what was cut short never looks complete (PX9).
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from gateway.http1.held_memory import HeldMemory
from gateway.proxy.websocket.frames import CloseCode, FrameError, FrameReader, close_frame
from tenants.routes.schemas import WebSocketSpec

STREAM = "tenantry.stream"  # scope key of the Tunnel of a request
_CLOSING = 1.0  # seconds in which an end must answer a close frame of ours
_ANSWERING = 10.0  # seconds in which it must read what it was sent, and answer the close frame of the other end
_STALLED = 10.0  # seconds in which an end must take most of what waits for it: some 64 KB
CLIENT_LOST, UPSTREAM_LOST, CLOSED = "client_lost", "upstream_lost", "closed"  # without, and with a close frame


class End(asyncio.Protocol):
    """One of the two connections."""

    __slots__ = (
        "_broken",
        "_reading",
        "_transport",
        "_tunnel",
        "discards",
        "lost",
        "peer",
        "pending",
        "reader",
        "stalled_at",
    )

    peer: "End"

    def __init__(self, tunnel: "Tunnel", reader: FrameReader) -> None:
        self.reader = reader  # of what this end sends
        self.lost = False
        self.discards = False  # it was sent a close frame of ours, and is only waited for
        self.stalled_at: float | None = None  # since when too much has waited for it
        self._broken = False  # it has sent what cannot be read
        self._tunnel = tunnel
        self._transport: asyncio.Transport
        self._reading = True
        self.pending = b""  # a close frame of ours, for when the frame under way is complete

    def attach(self, transport: asyncio.Transport) -> None:
        """The connection is this protocol's. It is not read until ``start``."""
        self._transport = transport
        self._reading = False
        transport.pause_reading()

    def start(self, received: bytes) -> None:
        """Read on, beginning with what has come before."""
        if received:
            self.data_received(received)
        self.update_reading()

    # Events.

    def data_received(self, data: bytes) -> None:
        if self.peer.pending:
            data = self._complete_frame(data)
        if self.discards:
            self._read_discarded(data)
            return
        try:
            passed = self.reader.read(data)
        except FrameError as error:
            self.peer.write(error.before)
            self._broken = True
            self._tunnel.refuse(self, error)
            return
        if passed:
            self.peer.write(passed)
        if self.reader.behind:
            self.update_reading()
            self._tunnel.loop.call_soon(self._catch_up)
        elif self.reader.closed:
            self._tunnel.on_close_frame()

    def eof_received(self) -> bool:
        """True: the other end's close frame can still be written."""
        return self.reader.closed and not self.discards

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._tunnel.hold(self, 0)
        self._tunnel.on_lost(self, exc)

    def pause_writing(self) -> None:
        self.stalled_at = self._tunnel.loop.time()
        self._tunnel.hold(self, self._transport.get_write_buffer_size())
        self.peer.update_reading()

    def resume_writing(self) -> None:
        self.stalled_at = None
        self._tunnel.hold(self, 0)
        self.peer.update_reading()

    def shed(self) -> None:
        """Others need the memory that waits for this end."""
        self._tunnel.hold(self, 0)
        self._tunnel.abort("memory_short")

    # What the tunnel does.

    def write(self, data: bytes) -> None:
        """Bytes for this end."""
        if data and not (self.lost or self.discards):
            self._transport.write(data)

    def update_reading(self) -> None:
        """Read, unless the other end takes no more, or frames wait to be read."""
        wanted = self.discards or (self.peer.stalled_at is None and not self.reader.behind)
        if wanted != self._reading and not self.lost:
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def say_close(self, code: CloseCode, reason: str) -> None:
        """Send a close frame, unless the other end's has passed, and wait for the answer."""
        if self.lost or self.discards:
            return
        frame = b"" if self.peer.reader.closed else close_frame(code, reason, masked=self._tunnel.is_upstream(self))
        if self.peer.reader.left and frame:
            if self.peer.lost:
                self.abort()
            self.pending = frame
            return
        self.write(frame)
        self.await_close()
        if self._broken and self._transport.can_write_eof():
            self._transport.write_eof()  # its answer could not be read

    def await_close(self) -> None:
        """It is sent nothing more, and may answer with a close frame."""
        self.discards = True
        self.update_reading()

    def close(self) -> None:
        """Close when everything is written."""
        if not self.lost:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if not self.lost:
            self._transport.abort()

    def _catch_up(self) -> None:
        if not (self.lost or self.discards):
            self.data_received(b"")
            self.update_reading()

    def _complete_frame(self, data: bytes) -> bytes:
        """Pass the rest of the frame under way; then the other end gets our close frame. Returns what follows it."""
        rest = self.reader.left
        part, after = data[:rest], data[rest:]
        self.peer.write(part)
        self.reader.left -= len(part)
        if not self.reader.left:
            self.peer.flush_close()
        return after

    def flush_close(self) -> None:
        """The frame under way is complete."""
        frame, self.pending = self.pending, b""
        self.write(frame)
        self.await_close()

    def _read_discarded(self, data: bytes) -> None:
        if self._broken:
            return
        try:
            self.reader.read(data)
        except FrameError:
            self._broken = True
            return
        if self.reader.closed and not self.reader.left:
            self.close()


class Taken(Protocol):
    """The client's connection, as the HTTP/1.1 server has given it away."""

    @property
    def transport(self) -> asyncio.Transport: ...
    @property
    def lost(self) -> Callable[[Exception | None], None]: ...
    @property
    def memory(self) -> HeldMemory: ...
    @property
    def source(self) -> str | None: ...


class Tunnel:
    """Both ends of one WebSocket. ``done`` is set when both connections are closed."""

    __slots__ = (
        "_active_at",
        "_began",
        "_deadline",
        "_frames",
        "_spec",
        "_taken",
        "client",
        "done",
        "loop",
        "reason",
        "upstream",
    )

    def __init__(self, spec: WebSocketSpec, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.client = End(self, FrameReader(masked=True, limit=spec.message_bytes))
        self.upstream = End(self, FrameReader(masked=False, limit=spec.message_bytes))
        self.client.peer, self.upstream.peer = self.upstream, self.client
        self.done: asyncio.Future[None] = loop.create_future()
        self.reason = ""  # why it is closed
        self._spec = spec
        self._taken: Taken | None = None
        self._began = self._active_at = loop.time()
        self._frames = 0  # at the last tick
        self._deadline: float | None = None  # by which both ends must have closed

    def open(self, taken: Taken, upstream: asyncio.Transport) -> None:
        """Both connections are this tunnel's now. Reading begins with ``End.start``."""
        self._taken = taken
        self.client.attach(taken.transport)
        self.upstream.attach(upstream)

    def end(self, reason: str, code: CloseCode, text: str, *, within: float = _CLOSING) -> None:
        """Close both ends: the client is told the code and the text."""
        if not self.reason:
            self._close(reason, within)
            self.client.say_close(code, text)
            self.upstream.say_close(CloseCode.GOING_AWAY, "")

    def abort(self, reason: str) -> None:
        """Close both ends at once."""
        self.reason = self.reason or reason
        self.client.abort()
        self.upstream.abort()

    def tick(self, now: float) -> None:
        """Called about twice a second, to apply the limits on time."""
        frames = self.client.reader.frames + self.upstream.reader.frames
        if frames != self._frames:
            self._frames, self._active_at = frames, now
        if self._deadline is not None:
            if now >= self._deadline:
                self.abort(self.reason or "not_closed")
        elif any(each.stalled_at is not None and now - each.stalled_at >= _STALLED for each in self._ends):
            self.abort("slow_reader")
        elif now - self._active_at >= self._spec.idle_seconds:
            self.end("idle", CloseCode.GOING_AWAY, "no message for too long")
        elif now - self._began >= self._spec.longest_seconds:
            self.end("longest", CloseCode.GOING_AWAY, "open for too long")

    @property
    def _ends(self) -> tuple[End, End]:
        return self.client, self.upstream

    # Called by the ends.

    def is_upstream(self, end: End) -> bool:
        return end is self.upstream

    def hold(self, end: End, size: int) -> None:
        """So many bytes wait for this end."""
        if self._taken is not None:
            self._taken.memory.hold(end, size, self._taken.source)

    def refuse(self, end: End, error: FrameError) -> None:
        """An end has sent a frame that must not pass."""
        by_client = end is self.client
        self._close(f"{error.code.name.lower()}_by_{'client' if by_client else 'upstream'}", _CLOSING)
        end.say_close(error.code, error.reason)
        if by_client:
            end.peer.say_close(CloseCode.GOING_AWAY, "")
        else:
            end.peer.say_close(CloseCode.BAD_GATEWAY, "the upstream broke the protocol")

    def on_close_frame(self) -> None:
        """An end has sent its last frame, or a part of it."""
        client, upstream = self.client.reader, self.upstream.reader
        if client.closed and upstream.closed and not (client.left or upstream.left):
            self._close(CLOSED, _ANSWERING)
            self.client.close()
            self.upstream.close()
        elif self._deadline is None:
            self._deadline = self.loop.time() + _ANSWERING

    def on_lost(self, end: End, exc: Exception | None) -> None:
        """The connection to this end has closed."""
        if end is self.client and self._taken is not None:
            self._taken.lost(exc)
        other = end.peer
        if other.lost:
            self.reason = self.reason or CLOSED
            if not self.done.done():
                self.done.set_result(None)
        elif self.reason:
            self._end_alone(other)
        elif end.reader.closed:
            self._close(CLOSED, _ANSWERING)
            self._end_alone(other)
        elif end is self.upstream:
            self.end(UPSTREAM_LOST, CloseCode.BAD_GATEWAY, "the upstream has gone", within=_ANSWERING)
        else:
            self._close(CLIENT_LOST, _CLOSING)
            other.close()

    def _end_alone(self, other: End) -> None:
        """What can still be done for an end whose other end has closed."""
        if other.reader.closed:
            other.close()
        elif not other.discards and other.peer.reader.left:
            other.abort()  # in the middle of a frame
        else:
            other.await_close()

    def _close(self, reason: str, seconds: float) -> None:
        self.reason = self.reason or reason
        self._deadline = self.loop.time() + seconds
