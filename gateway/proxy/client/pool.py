"""The keep-alive connections of a worker to one target."""

import asyncio
import math
import time
from collections.abc import Hashable
from typing import Final

from gateway.proxy.client.connection import UpstreamConnection
from gateway.proxy.client.dialing import Dialer
from gateway.proxy.client.errors import ADDRESS_NOT_ADMITTED, POOL_CLOSED, ConnectFailed, TooManyConnections
from gateway.proxy.client.lifecycle import Lifecycle
from gateway.proxy.client.response_head import HeadReader
from gateway.proxy.client.settings import ConnectionSettings, TargetAddress
from tenants.fair_queue import FairQueue

_LEAST_WAITING: Final = 16  # requests that may wait for a connection; at least as many as connections
_LOOK_UP_PAUSE: Final = 5.0  # seconds after a look-up that failed
_Turn = asyncio.Future[UpstreamConnection | None]


class ConnectionPool:
    """Gives the connection that was used last, so that those which the load does not need become idle and end.

    ``take``, else ``connect``; then ``release``, whatever became of the connection. At most ``connections`` are open;
    further requests wait in a short queue, in turns of their sources, for at most ``connect`` seconds.
    """

    def __init__(self, address: TargetAddress, settings: ConnectionSettings, dialer: Dialer | None = None) -> None:
        self.heads = HeadReader()
        self._address = address
        self._settings = settings
        self._dialer = dialer or Dialer()
        self._idle: list[UpstreamConnection] = []
        self._open: set[Lifecycle] = set()
        self._dialing = 0
        self._turns: FairQueue[_Turn] = FairQueue()
        self._look_up_at = 0.0 if address.unix_path is None else math.inf  # monotonic seconds
        self._look_up: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._swept = 0.0
        self._closed = False

    @property
    def address(self) -> TargetAddress:
        """Where the connections go."""
        return self._address

    @property
    def size(self) -> int:
        """Number of connections, those that are being opened included."""
        return len(self._open) + self._dialing

    @property
    def idle(self) -> int:
        """Number of connections without an exchange."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """Number of requests that wait for a connection."""
        return len(self._turns)

    def take(self) -> UpstreamConnection | None:
        """An idle connection, if there is one."""
        if not self._idle:
            return None
        connection = self._idle.pop()
        connection.take()
        return connection

    async def connect(self, source: Hashable = None) -> UpstreamConnection:
        """A new connection, or one that becomes free while this waits. ``source`` (a tenant) waits behind itself.

        Raises ConnectFailed, ConnectTimedOut or TooManyConnections.
        """
        if self._closed:
            raise ConnectFailed(POOL_CLOSED)
        if self.size >= self._settings.connections and self._idle:
            self._idle[0].close()  # the caller has found idle ones to be stale, and wants a new one
        if self.size >= self._settings.connections:
            connection = await self._wait(source)
            if connection is not None:
                return connection
        else:
            self._dialing += 1
        try:
            connection = await self._dialer.connect(self._address, self._settings, self._make)
        except BaseException:
            self._dialing -= 1
            self._hand_slot_over()
            raise
        self._dialing -= 1
        if connection.closed:  # while this task waited for its turn of the event loop
            self._hand_slot_over()
            return connection
        self._open.add(connection)
        self._start_sweeping()
        return connection

    def release(self, connection: UpstreamConnection) -> None:
        """The exchange is over, or the connection is not needed after all."""
        if self._closed or not connection.reusable:
            connection.close()
            return
        connection.rest()
        turn = self._next_turn()
        if turn is None:
            self._idle.append(connection)
        else:
            connection.take()
            turn.set_result(connection)

    async def close(self) -> None:
        """The target is not used any more: idle connections end now, the others with their exchange."""
        self._closed = True
        while (turn := self._next_turn()) is not None:
            turn.set_exception(ConnectFailed(POOL_CLOSED))
        for connection in [*self._idle]:
            connection.close()
        if self._look_up is not None:
            self._look_up.cancel()
            await asyncio.gather(self._look_up, return_exceptions=True)

    def lost(self, connection: Lifecycle) -> None:
        """Called by a connection when it ends."""
        if connection not in self._open:
            return
        self._open.remove(connection)
        self._idle = [each for each in self._idle if each is not connection]
        self._hand_slot_over()

    def _make(self, address: str) -> UpstreamConnection:
        return UpstreamConnection(self, self._settings, address)

    # The queue.

    async def _wait(self, source: Hashable) -> UpstreamConnection | None:
        """A connection, or None: then one may be opened, and is counted in ``_dialing``."""
        if len(self._turns) >= max(_LEAST_WAITING, self._settings.connections):
            raise TooManyConnections
        turn: _Turn = asyncio.get_running_loop().create_future()
        self._turns.put(source, turn)
        try:
            async with asyncio.timeout(self._settings.connect):
                return await turn
        except TimeoutError:
            self._give_back(source, turn)
            raise TooManyConnections from None
        except asyncio.CancelledError:
            self._give_back(source, turn)
            raise

    def _give_back(self, source: Hashable, turn: _Turn) -> None:
        """Leave the queue, or return what came in the same moment."""
        if turn.cancelled():
            self._turns.discard(source, turn)
        elif turn.exception() is None:
            connection = turn.result()
            if connection is not None:
                self.release(connection)
            else:
                self._dialing -= 1
                self._hand_slot_over()

    def _next_turn(self) -> _Turn | None:
        while self._turns:
            (turn,) = self._turns.take(1)
            if not turn.done():
                return turn
        return None

    def _hand_slot_over(self) -> None:
        """There is room for one more connection."""
        turn = self._next_turn() if not self._closed else None
        if turn is not None:
            self._dialing += 1
            turn.set_result(None)

    # The sweep.

    def _start_sweeping(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._swept = loop.time()
            self._timer = loop.call_later(self._settings.sweep, self._sweep)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        elapsed, self._swept = now - self._swept, now
        for connection in [*self._open]:
            connection.tick(elapsed)
        self._timer = loop.call_later(self._settings.sweep, self._sweep) if self._open else None
        if self._open and self._look_up is None and time.monotonic() >= self._look_up_at:
            self._look_up = loop.create_task(self._check_addresses())

    async def _check_addresses(self) -> None:
        """Notice that the name has other addresses although no connection is opened."""
        try:
            resolved = await self._dialer.resolve(self._address, self._settings)
            self._look_up_at = resolved.expires
            admitted = {str(each) for each in resolved.addresses}
        except ConnectFailed as error:
            self._look_up_at = time.monotonic() + _LOOK_UP_PAUSE
            admitted = set()
            if error.reason != ADDRESS_NOT_ADMITTED:
                return  # the connections that there are still work
        finally:
            self._look_up = None
        for connection in [*self._open]:
            if connection.address not in admitted:
                connection.retire()
