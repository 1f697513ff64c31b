"""A server that stops without failing a request.

uvicorn's own closes idle connections at once, and resets those on which a request is on its way (RFC 9112 section 9.5
leaves it to the client to send that again). Here every answer first says that it is the last of its connection, and
what is idle is given time to bring one more request.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import socket
from types import FrameType
from typing import cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.health.readiness import LEAVE

HAND_OVER = signal.SIGHUP  # stop, somebody else has taken the place: nothing need be said of readiness
LINGER = 2.0  # seconds that a connection which was just accepted, or answered, is given for its next request
DRAIN = 10  # seconds that requests in flight are given after that
_LOOK_EVERY = 0.05  # seconds
_CLOSE = (b"connection", b"close")


class DrainingServer(uvicorn.Server):
    """Serves on at SIGTERM for ``notice`` seconds, not ready, so that a load balancer sends no more; then drains.

    A person at a terminal (SIGINT) and a successor on the same socket (SIGHUP) need no such notice.
    """

    def __init__(self, config: uvicorn.Config, notice: float) -> None:
        super().__init__(config)
        self._notice = notice
        self._told: int | None = None  # the signal that came first

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            before = signal.signal(HAND_OVER, self.handle_exit)
            try:
                yield
            finally:
                signal.signal(HAND_OVER, before)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._told = self._told or sig
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        await self._announce_last_answers()
        if self._told == signal.SIGTERM:
            self._say_not_ready()
            await self._serve_on(self._notice)
        for server in self.servers:
            server.close()
        await self._serve_on(LINGER, lambda: not self.server_state.connections)
        await super().shutdown(sockets)

    async def _announce_last_answers(self) -> None:
        self.config.encoded_headers = [*self.config.encoded_headers, _CLOSE]
        await self.on_tick(0)  # which makes the headers of all answers to requests that come from now on
        for connection in self.server_state.connections:
            if isinstance(connection, HttpToolsProtocol):
                _answer_last(connection)

    def _say_not_ready(self) -> None:
        leave = self.lifespan.state.get(LEAVE)
        if leave is not None:
            leave()

    async def _serve_on(self, seconds: float, done: Callable[[], bool] = lambda: False) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end and not done() and not self.force_exit:
            await self.on_tick(0)  # keeps the Date of answers right
            await asyncio.sleep(_LOOK_EVERY)


def _answer_last(connection: HttpToolsProtocol) -> None:
    """Close after the answers that are owed. One whose head has left has not said so: another request may follow it."""
    owed = connection.pipeline[0][0] if connection.pipeline else connection.cycle
    cycle = cast("RequestResponseCycle | None", owed)  # None before the first request, whatever uvicorn declares
    if cycle is not None and not cycle.response_started:
        cycle.keep_alive = False
