"""One connection to an upstream: sends a request, reads its response strictly, and stops at its deadlines.

The small exchange is made cheap: a request in one write, a response in one read, one future, no timer and no task.
"""

import asyncio
import math
from collections.abc import Awaitable
from enum import Enum, auto
from typing import Final, Protocol, cast

from gateway.proxy.client.errors import BadResponse, ConnectionLost, ResponseTimedOut, UpstreamFailed
from gateway.proxy.client.outgoing import BodyLengthWrong, Outgoing
from gateway.proxy.client.response_body import EndlessBody, ResponseBody, body_of
from gateway.proxy.client.response_head import MAX_HEAD_BYTES, HeadReader, ParsedHead, ResponseHead, check_incomplete
from gateway.proxy.client.settings import ConnectionSettings

MOST_BUFFERED: Final = 131_072  # bytes of a body that nothing has read; the read that exceeds it adds at most 256 KB
_MOST_INTERIM: Final = 10
_MOST_JOINED: Final = 65_536  # bytes of a body that is copied to be written with its head
_SWITCHING: Final = 101


class _State(Enum):
    IDLE = auto()  # in the pool, or taken from it and not used yet
    HEAD = auto()  # waits for the response's
    BODY = auto()
    COMPLETE = auto()  # no more of the response is to come
    UPGRADED = auto()
    CLOSED = auto()


_IDLE, _HEAD, _BODY, _COMPLETE, _UPGRADED, _CLOSED = _State  # an attribute of an Enum is a slow look-up in Python 3.11


class Owner(Protocol):
    """The pool."""

    heads: HeadReader

    def lost(self, connection: "UpstreamConnection") -> None:
        """The connection has ended, or belongs to an upgrade now."""


class UpstreamConnection(asyncio.Protocol):
    """Serves one exchange at a time: ``send``, then ``head``, then ``read`` until b"" unless the head says complete.

    All but ``send`` can raise ConnectionLost, BadResponse and ResponseTimedOut. A cancelled ``head``, ``read`` or
    ``write`` aborts the connection.
    """

    def __init__(self, owner: Owner, settings: ConnectionSettings, address: str = "") -> None:
        self.address = address  # that it is connected to
        self.reused = False  # has served an exchange before
        self.received_any = False  # of the response, or of an interim one
        self._owner = owner
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._state = _IDLE
        self._failure: UpstreamFailed | None = None
        self._waiter: asyncio.Future[None] | None = None  # of head() or read()
        self._waited, self._limit = 0.0, math.inf  # seconds, for what the state waits for
        # Request.
        self._is_head = self._upgrades = False
        self._outgoing = Outgoing()
        self._first_byte = 0.0
        # Response.
        self._partial = b""  # of a head; what follows the head of an upgrade
        self._interim = 0
        self._head: ResponseHead | None = None
        self._body: ResponseBody = EndlessBody()
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._reading_paused = False
        self._spoilt = False  # something came that belongs to no response

    # Request.

    def send(
        self,
        head: bytes,
        *,
        method: str,
        body: bytes = b"",
        more_body: bool = False,
        length: int | None = None,
        upgrade: bool = False,
        first_byte: float | None = None,
    ) -> None:
        """Send a head, with its framing fields, and ``body``.

        ``more_body``: the rest follows by ``write`` and ``end_body``, and ``length`` is that of all of it; None sends
        chunks. ``upgrade``: 101 is a valid answer. ``first_byte`` replaces the upstream's. Raises ConnectionLost.
        """
        if self._state is not _IDLE:
            raise ConnectionLost(before_first_byte=True, stale=self.reused, unsent=True)
        self._state = _HEAD
        self._is_head, self._upgrades = method == "HEAD", upgrade
        self._first_byte = self._settings.first_byte if first_byte is None else first_byte
        self._waited = 0.0
        if more_body:
            self._limit = math.inf
            self._outgoing.begin_body(length)
            self._transport.write(head)
            self._write(body)
            return
        self._limit = self._first_byte
        if len(body) <= _MOST_JOINED:
            self._transport.write(head + body if body else head)
        else:
            self._transport.writelines((head, body))

    async def write(self, data: bytes) -> bool:
        """Send a part of the body, and wait until most of it is taken.

        False when the response has begun: no more of the body is sent, then or later. Raises BodyLengthWrong.
        """
        if self._state is _HEAD:
            self._write(data)
            if self._outgoing.paused:
                await self._uncancelled(self._outgoing.drain())
        if self._failure is not None:
            raise self._failure
        return self._state is _HEAD

    def end_body(self) -> None:
        """The body is complete. Raises BodyLengthWrong, and aborts, if it is shorter than announced."""
        if self._state is not _HEAD:
            return
        try:
            self._outgoing.end(self._transport)
        except BodyLengthWrong:
            self.abort()
            raise
        if not self._outgoing.paused:
            self._waited, self._limit = 0.0, self._first_byte

    def _write(self, data: bytes) -> None:
        try:
            self._outgoing.write(self._transport, data)
        except BodyLengthWrong:
            self.abort()
            raise

    def pause_writing(self) -> None:
        """The transport has too much that the upstream has not taken."""
        self._outgoing.pause()
        self._waited, self._limit = 0.0, self._settings.send

    def resume_writing(self) -> None:
        """The upstream has taken most of it."""
        if self._state is _HEAD:
            self._waited, self._limit = 0.0, self._first_byte if self._outgoing.ended else math.inf
        self._outgoing.resume()

    # Response.

    async def head(self) -> ResponseHead:
        """The final response's head, as soon as it has come: also while the body is still being sent."""
        if self._head is None and self._failure is None:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            except asyncio.CancelledError:
                self.abort()
                raise
        if self._head is None:
            raise self._failure or RuntimeError("no request was sent")
        return self._head

    async def read(self) -> bytes:
        """The next part of the body; b"" is its end."""
        if not self._pieces and self._state is _BODY:
            self._waiter = self._loop.create_future()
            await self._uncancelled(self._waiter)
        if not self._pieces:
            if self._failure is not None:
                raise self._failure
            return b""
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces, self._buffered = [], 0
        if self._reading_paused:
            self._resume_reading()
        return data

    def data_received(self, data: bytes) -> None:
        """Bytes of a response; in any other state they end the connection."""
        state = self._state
        try:
            if state is _HEAD:
                self._receive_head(data)
            elif state is _BODY:
                self._receive_body(data)
            elif state is _UPGRADED:
                self._partial += data
            else:
                self._spoilt = True
                self.close()
        except BadResponse as error:
            self._fail(error)

    def _receive_head(self, data: bytes) -> None:
        self.received_any = True
        if self._partial:
            data = self._partial + data
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 or end > MAX_HEAD_BYTES:  # noqa: PLR2004 - not found
            check_incomplete(data, len(self._partial))
            self._partial = data
            return
        parsed = self._owner.heads.read(data[:end])
        rest = data[end:]
        if parsed.interim:
            self._receive_interim(parsed, rest)
            return
        length = 0 if self._is_head else parsed.length
        if length == len(rest):
            self._state, self._limit = _COMPLETE, math.inf
        else:
            rest = self._begin_body(length, rest)
        complete = self._state is _COMPLETE
        keeps = parsed.keeps and self._outgoing.ended and length is not None and not self._spoilt
        self._head = ResponseHead(parsed.status, parsed.fields, length, rest, complete, keeps)
        self._partial = b""
        self._wake()

    def _begin_body(self, length: int | None, rest: bytes) -> bytes:
        """The part of the body in ``rest``."""
        self._body = body_of(length)
        self._state, self._waited, self._limit = _BODY, 0.0, self._settings.idle
        payload, extra = self._body.feed(rest)
        self._after_feed(extra)
        return payload

    def _receive_interim(self, parsed: ParsedHead, rest: bytes) -> None:
        self._partial = b""
        if parsed.status == _SWITCHING:
            if not self._upgrades:
                raise BadResponse("unasked_upgrade")
            self._state, self._limit, self._partial = _UPGRADED, math.inf, rest
            self._transport.pause_reading()
            self._head = ResponseHead(parsed.status, parsed.fields, 0, b"", complete=True, keeps=False)
            self._wake()
            return
        self._interim += 1
        if self._interim > _MOST_INTERIM:
            raise BadResponse("too_many_interim")
        if rest:
            self._receive_head(rest)

    def _receive_body(self, data: bytes) -> None:
        self._waited = 0.0
        payload, extra = self._body.feed(data)
        if payload:
            self._pieces.append(payload)
            self._buffered += len(payload)
        self._after_feed(extra)
        if self._buffered >= MOST_BUFFERED and self._state is _BODY and not self._reading_paused:
            self._reading_paused, self._limit = True, math.inf
            self._transport.pause_reading()
        if payload or self._state is not _BODY:
            self._wake()

    def _after_feed(self, extra: bytes) -> None:
        if self._body.ended:
            self._state, self._limit = _COMPLETE, math.inf
            self._spoilt = self._spoilt or bool(extra)

    def _resume_reading(self) -> None:
        self._reading_paused = False
        if self._state is _BODY:
            self._waited, self._limit = 0.0, self._settings.idle
        if self._state is not _CLOSED:
            self._transport.resume_reading()

    # Life of the connection.

    @property
    def answered(self) -> bool:
        """The head is there, or there will be none: ``head`` does not wait."""
        return self._head is not None or self._failure is not None

    @property
    def closed(self) -> bool:
        """It cannot be used, or belongs to an upgrade."""
        return self._state is _CLOSED

    @property
    def reusable(self) -> bool:
        """Whether another exchange can follow."""
        if self._state is _IDLE:
            return True
        head = self._head
        return (
            self._state is _COMPLETE
            and head is not None
            and head.keeps
            and not (self._spoilt or self._outgoing.paused or self._reading_paused)
        )

    def take(self) -> None:
        """The pool gives it out."""
        self._limit = math.inf

    def rest(self) -> None:
        """The pool takes it back, for another exchange."""
        self.reused = True
        self.received_any = False
        self._state, self._head, self._interim = _IDLE, None, 0
        self._waited, self._limit = 0.0, self._settings.idle_seconds
        if self._pieces:
            self._pieces, self._buffered = [], 0

    def retire(self) -> None:
        """Serve no other exchange."""
        self._spoilt = True
        if self._state is _IDLE:
            self.close()

    def close(self) -> None:
        """End the connection; an exchange in progress fails."""
        if self._state in {_HEAD, _BODY} or not self._outgoing.ended or self._outgoing.paused:
            self.abort()
        elif self._state is not _CLOSED:
            self._state = _CLOSED
            self._owner.lost(self)
            self._transport.close()

    def abort(self) -> None:
        """End the connection at once; an exchange in progress fails."""
        self._fail(self._lost_error())

    def detach(self) -> tuple[asyncio.Transport, bytes]:
        """After 101: the transport, paused, and the bytes that followed the head. The pool forgets the connection.

        Set another protocol, then resume reading.
        """
        if self._state is not _UPGRADED:
            raise self._failure or RuntimeError("not upgraded")
        self._state = _CLOSED
        self._owner.lost(self)
        return self._transport, self._partial

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected, TLS included."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def eof_received(self) -> None:
        """The upstream ends its side: over TLS only if it says so (close_notify, RFC 8446 section 6.1)."""
        if self._state is _BODY and isinstance(self._body, EndlessBody):
            self._state, self._limit = _COMPLETE, math.inf
            self._wake()
        self.close()

    def connection_lost(self, _: Exception | None) -> None:
        """Reset, or ended by either side."""
        self.abort()

    def tick(self, elapsed: float) -> None:
        """Called by each sweep, ``elapsed`` seconds after the last one. A deadline never passes early."""
        if self._outgoing.paused and self._outgoing.progress(self._transport):
            self._waited = 0.0
        if self._waited < self._limit:
            self._waited += elapsed
        elif self._state is _IDLE:
            self.close()
        elif self._state is _BODY:
            self._fail(ResponseTimedOut("idle"))
        else:
            self._fail(ResponseTimedOut("send" if self._outgoing.paused else "first_byte"))

    def _lost_error(self) -> ConnectionLost:
        return ConnectionLost(before_first_byte=not self.received_any, stale=self.reused and not self.received_any)

    def _fail(self, error: UpstreamFailed) -> None:
        if self._state is _CLOSED:
            return
        if self._state in {_HEAD, _BODY}:
            self._failure = error
        self._state = _CLOSED
        self._owner.lost(self)
        self._transport.abort()
        self._wake()

    async def _uncancelled(self, event: Awaitable[None]) -> None:
        try:
            await event
        except asyncio.CancelledError:
            self.abort()
            raise

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
        if not self._outgoing.ended:  # the response has begun: no more of the request is sent
            self._outgoing.wake()
