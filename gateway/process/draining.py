"""A server that shuts down without failing a request.

uvicorn's own server closes idle connections at once, which resets those with a request in transit (RFC 9112 section 9.5
leaves the retry to the client). This one first adds ``Connection: close`` to every response, and gives idle connections
time for one more request.
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

from gateway.health.readiness import START_DRAINING

RETIRE = signal.SIGHUP  # stop without a readiness notice: a successor already serves on the same socket
IDLE_GRACE = 2.0  # seconds in which an accepted or idle connection may send its next request
DRAIN_TIMEOUT = 10  # seconds that running requests get after that
_POLL_INTERVAL = 0.05  # seconds
_CLOSE = (b"connection", b"close")


class DrainingServer(uvicorn.Server):
    """On SIGTERM it reports not ready and serves on for ``notice`` seconds, so that load balancers stop sending.

    On SIGINT (a terminal) and SIGHUP (a successor on the same socket) it starts to drain at once.
    """

    def __init__(self, config: uvicorn.Config, notice: float) -> None:
        super().__init__(config)
        self._notice = notice
        self._signal: int | None = None  # the first one received

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            previous = signal.signal(RETIRE, self.handle_exit)
            try:
                yield
            finally:
                signal.signal(RETIRE, previous)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._signal = self._signal or sig
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        await self._close_after_responses()
        if self._signal == signal.SIGTERM:
            self._report_not_ready()
            await self._keep_serving(self._notice)
        for server in self.servers:
            server.close()
        await self._keep_serving(IDLE_GRACE, lambda: not self.server_state.connections)
        await super().shutdown(sockets)

    async def _close_after_responses(self) -> None:
        self.config.encoded_headers = [*self.config.encoded_headers, _CLOSE]
        await self.on_tick(0)  # rebuilds the default headers of later responses
        for connection in self.server_state.connections:
            if isinstance(connection, HttpToolsProtocol):
                _close_after_response(connection)

    def _report_not_ready(self) -> None:
        start_draining = self.lifespan.state.get(START_DRAINING)
        if start_draining is not None:
            start_draining()

    async def _keep_serving(self, seconds: float, done: Callable[[], bool] = lambda: False) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end and not done() and not self.force_exit:
            await self.on_tick(0)  # keeps Date current
            await asyncio.sleep(_POLL_INTERVAL)


def _close_after_response(connection: HttpToolsProtocol) -> None:
    """Close after the current response, unless its head is already sent without Connection: close."""
    current = connection.pipeline[0][0] if connection.pipeline else connection.cycle
    cycle = cast("RequestResponseCycle | None", current)  # None before the first request, unlike uvicorn's annotation
    if cycle is not None and not cycle.response_started:
        cycle.keep_alive = False
