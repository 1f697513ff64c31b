"""State, deadlines and end of a connection to an upstream. What it sends and receives is in ``connection.py``."""

import asyncio
import math
from collections.abc import Awaitable
from enum import Enum, auto
from typing import Final, Protocol, cast

from gateway.proxy.client.errors import ConnectionLost, ResponseTimedOut, UpstreamFailed
from gateway.proxy.client.incoming import Incoming
from gateway.proxy.client.outgoing import Outgoing
from gateway.proxy.client.response_head import HeadReader, ResponseHead
from gateway.proxy.client.settings import ConnectionSettings

_MOST_UNSENT: Final = 65_536  # bytes in a transport before writers wait; over TLS the default is 512 KB


class State(Enum):
    """What a connection waits for."""

    IDLE = auto()  # in the pool, or taken from it and not used yet
    HEAD = auto()  # of the response
    BODY = auto()
    COMPLETE = auto()  # no more of the response is to come
    UPGRADED = auto()
    CLOSED = auto()


IDLE, HEAD, BODY, COMPLETE, UPGRADED, CLOSED = State  # an attribute of an Enum is a slow look-up in Python 3.11


class Owner(Protocol):
    """The pool."""

    heads: HeadReader

    def lost(self, connection: "Lifecycle") -> None:
        """The connection has ended, or belongs to an upgrade now."""


class Lifecycle(asyncio.Protocol):
    """A connection without its messages."""

    def __init__(self, owner: Owner, settings: ConnectionSettings, address: str = "") -> None:
        self.address = address  # that it is connected to
        self.reused = False  # has served an exchange before
        self.received_any = False  # of the response, or of an interim one
        self._owner = owner
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._state = IDLE
        self._failure: UpstreamFailed | None = None
        self._waiter: asyncio.Future[None] | None = None  # of head() or read()
        self._waited, self._limit = 0.0, math.inf  # seconds, for what the state waits for
        self._outgoing = Outgoing()
        self._incoming = Incoming()
        self._first_byte = settings.first_byte
        self._interim = 0  # responses
        self._head: ResponseHead | None = None
        self._spoilt = False  # it serves no other exchange

    @property
    def closed(self) -> bool:
        """It cannot be used, or belongs to an upgrade."""
        return self._state is CLOSED

    @property
    def reusable(self) -> bool:
        """Whether another exchange can follow."""
        if self._state is IDLE:
            return True
        head = self._head
        return (
            self._state is COMPLETE
            and head is not None
            and head.keeps
            and not (self._spoilt or self._outgoing.paused or self._incoming.paused)
        )

    def take(self) -> None:
        """The pool gives it out."""
        self._limit = math.inf

    def rest(self) -> None:
        """The pool takes it back, for another exchange."""
        self.reused = True
        self.received_any = False
        self._state, self._head, self._interim = IDLE, None, 0
        self._waited, self._limit = 0.0, self._settings.idle_seconds
        if self._incoming.size:
            self._incoming.take()

    def retire(self) -> None:
        """Serve no other exchange."""
        self._spoilt = True
        if self._state is IDLE:
            self.close()

    def close(self) -> None:
        """End the connection; an exchange in progress fails."""
        if self._state in {HEAD, BODY} or self._spoilt:
            self.abort()
        elif self._state is not CLOSED:
            self._state = CLOSED
            self._owner.lost(self)
            self._transport.close()

    def abort(self) -> None:
        """End the connection at once; an exchange in progress fails."""
        self._fail(self._lost_error())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected, TLS included."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._transport.set_write_buffer_limits(_MOST_UNSENT)

    def connection_lost(self, _: Exception | None) -> None:
        """Reset, or ended by either side."""
        self.abort()

    def tick(self, elapsed: float) -> None:
        """Called by each sweep, ``elapsed`` seconds after the last one. A deadline never passes early."""
        if self._outgoing.paused and self._outgoing.progress(self._transport):
            self._waited = 0.0
        if self._waited < self._limit:
            self._waited += elapsed
        elif self._state is IDLE:
            self.close()
        else:
            waits_for = "idle" if self._state is BODY else "first_byte"
            self._fail(ResponseTimedOut("send" if self._outgoing.paused else waits_for))

    def pause_writing(self) -> None:
        """The transport has too much that the upstream has not taken."""
        self._outgoing.pause()
        self._await_progress()

    def resume_writing(self) -> None:
        """The upstream has taken most of it."""
        self._outgoing.resume()
        self._await_progress()

    def _await_progress(self) -> None:
        """Start the deadline of what the upstream has to do next; there is none while it waits for us."""
        self._waited, self._limit = 0.0, math.inf
        if self._state is not HEAD and self._state is not BODY:
            return
        if self._outgoing.paused:
            self._limit = self._settings.send
        elif self._outgoing.ended and not self._incoming.paused:
            self._limit = self._first_byte if self._state is HEAD else self._settings.idle

    def _lost_error(self) -> ConnectionLost:
        return ConnectionLost(before_first_byte=not self.received_any, stale=self.reused and not self.received_any)

    def _fail(self, error: UpstreamFailed) -> None:
        if self._state is CLOSED:
            return
        if self._state in {HEAD, BODY, UPGRADED}:
            self._failure = error
        self._state = CLOSED
        self._owner.lost(self)
        self._transport.abort()
        self._wake()
        self._outgoing.stop()

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
