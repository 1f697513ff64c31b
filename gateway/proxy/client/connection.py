"""One connection to an upstream: sends a request, reads its response strictly, and stops at its deadlines.

The small exchange is made cheap: a request in one write, a response in one read, one future, no timer and no task.
"""

import asyncio
import math
from typing import Final

from gateway.proxy.client.errors import BadResponse, ConnectionLost
from gateway.proxy.client.incoming import MOST_BUFFERED
from gateway.proxy.client.lifecycle import BODY, CLOSED, COMPLETE, HEAD, IDLE, UPGRADED, Lifecycle, Owner
from gateway.proxy.client.outgoing import BodyLengthWrong
from gateway.proxy.client.response_head import MAX_HEAD_BYTES, ParsedHead, ResponseHead, check_incomplete
from gateway.proxy.client.settings import ConnectionSettings

_MOST_INTERIM: Final = 10
_MOST_JOINED: Final = 65_536  # bytes of a body that is copied to be written with its head
_MOST_COPIED: Final = 16_384  # bytes of a response's body
_SWITCHING: Final = 101
_FIRST_ERROR: Final = 400


class UpstreamConnection(Lifecycle):
    """Serves one exchange at a time: ``send``, then ``head``, then ``read`` until b"" unless the head says complete.

    They raise ConnectionLost, BadResponse and ResponseTimedOut. Cancelling ``head``, ``read`` or ``write`` aborts.
    """

    def __init__(self, owner: Owner, settings: ConnectionSettings, address: str = "") -> None:
        super().__init__(owner, settings, address)
        self._is_head = self._upgrades = False  # the request
        self._partial = b""  # of a head; what follows the head of an upgrade

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
        if self._state is not IDLE:
            raise ConnectionLost(before_first_byte=True, stale=self.reused, unsent=True)
        self._state = HEAD
        self._is_head, self._upgrades = method == "HEAD", upgrade
        self._first_byte = self._settings.first_byte if first_byte is None else first_byte
        self._waited = 0.0
        if more_body:
            self._outgoing.begin_body(length)
            self._await_progress()
            self._transport.write(head)
            self._write(body)
            return
        self._limit = self._first_byte
        if len(body) <= _MOST_JOINED:
            self._transport.write(head + body if body else head)
        else:
            self._transport.writelines((head, body))

    async def write(self, data: bytes) -> bool:
        """Send a part of the body, and wait until most of it is taken. Raises BodyLengthWrong, and aborts.

        False when no more of it is sent, then or later: the response is complete, or an error, or ends the connection.
        """
        if not self._outgoing.ended:
            self._write(data)
            if self._outgoing.paused:
                await self._uncancelled(self._outgoing.drain())
            else:
                await self._uncancelled(
                    asyncio.sleep(0)
                )  # an early response, or the end of the connection, has to be noticed
        if self._failure is not None:
            raise self._failure
        return not self._outgoing.ended

    def end_body(self) -> None:
        """The body is complete. Raises BodyLengthWrong, and aborts, if it is shorter than announced."""
        if self._outgoing.ended:
            return
        try:
            self._outgoing.end(self._transport)
        except BodyLengthWrong:
            self.abort()
            raise
        self._await_progress()

    def _write(self, data: bytes) -> None:
        try:
            self._outgoing.write(self._transport, data)
        except BodyLengthWrong:
            self.abort()
            raise

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
        incoming = self._incoming
        if not incoming.size and self._state is BODY:
            self._waiter = self._loop.create_future()
            await self._uncancelled(self._waiter)
        if not incoming.size and self._failure is not None:
            raise self._failure
        data = incoming.take()
        if incoming.paused:
            self._resume_reading()
        return data

    @property
    def answered(self) -> bool:
        """The head is there, or there will be none: ``head`` does not wait."""
        return self._head is not None or self._failure is not None

    @property
    def complete(self) -> bool:
        """All of the response was given out."""
        over = self._head is not None and self._failure is None and self._state is not BODY
        return over and not self._incoming.size

    def data_received(self, data: bytes) -> None:
        """Bytes of a response; in any other state they end the connection."""
        state = self._state
        try:
            if state is HEAD:
                self._receive_head(data)
            elif state is BODY:
                self._receive_body(data)
            elif state is UPGRADED:
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
        if parsed.interim:
            self._receive_interim(parsed, data[end:])
            return
        length = 0 if self._is_head else parsed.length
        size = len(data) - end
        body: bytes | memoryview
        if length == size:
            self._state, self._limit = COMPLETE, math.inf
            body = data[end:] if size <= _MOST_COPIED else memoryview(data)[end:]
        else:
            body = self._begin_body(length, data[end:])
        keeps = parsed.keeps and length is not None and not self._spoilt
        self._head = ResponseHead(parsed.status, parsed.fields, length, body, self._state is COMPLETE, keeps)
        self._partial = b""
        self._wake()
        if not self._outgoing.ended and not (self._state is BODY and parsed.keeps and parsed.status < _FIRST_ERROR):
            self._stop_body()

    def _begin_body(self, length: int | None, rest: bytes) -> bytes:
        """The part of the body in ``rest``."""
        self._state = BODY
        self._await_progress()
        self._incoming.begin(length)
        self._feed(rest)
        return self._incoming.take()

    def _receive_interim(self, parsed: ParsedHead, rest: bytes) -> None:
        self._partial = b""
        if parsed.status == _SWITCHING:
            if not self._upgrades or not self._outgoing.ended:
                raise BadResponse("unasked_upgrade")
            self._state, self._limit, self._partial = UPGRADED, math.inf, rest
            self._transport.pause_reading()
            self._head = ResponseHead(parsed.status, parsed.fields, 0, b"", complete=True, keeps=False)
            self._wake()
            return
        self._interim += 1
        if self._interim > _MOST_INTERIM:
            raise BadResponse("too_many_interim")
        if rest:
            self._receive_head(rest)

    def _stop_body(self) -> None:
        """No more of the request is sent (RFC 9112 section 9.5): the upstream has answered without it.

        A good answer that is not complete may depend on the rest: a service can pipe the one into the other.
        """
        self._spoilt = True
        self._outgoing.stop()
        self._await_progress()

    def _receive_body(self, data: bytes) -> None:
        self._waited = 0.0
        self._feed(data)
        if self._state is not BODY:
            if not self._outgoing.ended:
                self._stop_body()
        elif self._incoming.size >= MOST_BUFFERED and not self._incoming.paused:
            self._incoming.paused = True
            self._await_progress()
            self._transport.pause_reading()
        if self._incoming.size or self._state is not BODY:
            self._wake()

    def _feed(self, data: bytes) -> None:
        extra = self._incoming.feed(data)
        if self._incoming.ended:
            self._state, self._limit = COMPLETE, math.inf
            self._spoilt = self._spoilt or bool(extra)

    def _resume_reading(self) -> None:
        self._incoming.paused = False
        self._await_progress()
        if self._state is not CLOSED:
            self._transport.resume_reading()

    def eof_received(self) -> None:
        """The upstream ends its side: over TLS only if it says so (close_notify, RFC 8446 section 6.1)."""
        if self._state is BODY and self._incoming.is_endless:
            self._state, self._limit = COMPLETE, math.inf
            self._wake()
        self.close()

    def detach(self) -> tuple[asyncio.Transport, bytes]:
        """After 101: the transport, paused, and the bytes that followed the head. The pool forgets the connection.

        Set another protocol, then resume reading.
        """
        if self._state is not UPGRADED:
            raise self._failure or RuntimeError("not upgraded")
        self._state = CLOSED
        self._owner.lost(self)
        return self._transport, self._partial
