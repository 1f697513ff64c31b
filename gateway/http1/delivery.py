"""The delivery of one response: how long its bytes wait for the reader, and what that may cost others (LD2, LD3)."""

import asyncio

from starlette.types import Scope
from uvicorn.protocols.http.flow_control import FlowControl

from gateway.http1.held_memory import HeldMemory
from gateway.http1.timeouts import IdleTimeouts, Limits
from gateway.request.context import CUT_SHORT


class Deliveries:
    """What the deliveries of a process share."""

    def __init__(self, limits: Limits, memory: HeldMemory, loop: asyncio.AbstractEventLoop) -> None:
        self.limits = limits
        self.memory = memory
        self.loop = loop
        self.timeouts: IdleTimeouts[Delivery] = IdleTimeouts(loop, lambda each: each.on_timeout(), limits.sweep)


class Delivery:
    """Created for a response that the kernel did not take at once, and used each time that it has to wait.

    Only waiting for the reader counts: a stream that waits for its own data has nothing to deliver.
    """

    __slots__ = ("_began", "_flow", "_scope", "_sent", "_shared", "_size", "_source", "_transport", "_waited")

    def __init__(
        self, shared: Deliveries, transport: asyncio.Transport, flow: FlowControl, scope: Scope, source: str | None
    ) -> None:
        self._shared = shared
        self._transport = transport
        self._flow = flow
        self._scope = scope
        self._source = source
        self._began = 0.0  # of this wait, seconds of the event loop's clock
        self._size = 0  # bytes that were undelivered then
        self._sent = 0  # bytes, in earlier waits
        self._waited = 0.0  # seconds, likewise

    async def wait(self, *, for_all: bool) -> None:
        """Return when the kernel has taken all bytes, or enough for the next ones, or when the connection is lost."""
        shared, transport = self._shared, self._transport
        if for_all:
            transport.set_write_buffer_limits(0)
        self._began, self._size = shared.loop.time(), transport.get_write_buffer_size()
        shared.timeouts.set(self, max(0.0, self._seconds_left()))
        try:
            shared.memory.hold(self, self._size, self._source)
            await self._flow.drain()
        finally:
            shared.timeouts.cancel(self)
            shared.memory.hold(self, 0, None)
            self._sent, self._waited = self._progress()
            if for_all and not transport.is_closing():
                transport.set_write_buffer_limits()

    def on_timeout(self) -> None:
        """Judge the pace: all that was delivered while the response waited, over all that time."""
        left = self._seconds_left()
        if left <= 0:
            self._cut_short("slow_reader")
            return
        self._shared.memory.hold(self, self._transport.get_write_buffer_size(), self._source)
        self._shared.timeouts.set(self, left)

    def shed(self) -> None:
        """Free the memory: the response is cut short."""
        self._cut_short("memory_short")

    def _progress(self) -> tuple[int, float]:
        """Bytes delivered and seconds waited, with those of the current wait."""
        sent = self._size - self._transport.get_write_buffer_size()
        return self._sent + sent, self._waited + self._shared.loop.time() - self._began

    def _seconds_left(self) -> float:
        sent, waited = self._progress()
        return self._shared.limits.grace + sent / self._shared.limits.min_rate - waited

    def _cut_short(self, reason: str) -> None:
        self._scope[CUT_SHORT] = reason
        self._shared.memory.hold(self, 0, None)
        self._transport.abort()
