"""``Delivery``: when a reader is too slow (LD3)."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from gateway.http1.delivery import Deliveries, Delivery
from gateway.http1.held_memory import HeldMemory
from gateway.http1.timeouts import IdleTimeouts, Limits
from gateway.request.context import CUT_SHORT

pytestmark = pytest.mark.anyio

_LIMITS = Limits(grace=10, min_rate=1_000)


class _Transport:
    """A write buffer that a test empties."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.limits: list[int | None] = []
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.size

    def set_write_buffer_limits(self, high: int | None = None) -> None:
        self.limits.append(high)

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


class _Reader:
    """One response of ``size`` bytes that waits for its reader, under a clock of the test."""

    def __init__(self, size: int) -> None:
        self.now = 0.0
        self.clock = SimpleNamespace(time=lambda: self.now)
        self.scope: dict[str, Any] = {}
        self.transport = _Transport(size)
        self.memory = HeldMemory(10_000_000, 10_000_000)
        self.flow = FlowControl(cast("asyncio.Transport", self.transport))
        shared = Deliveries(_LIMITS, self.memory, cast("asyncio.AbstractEventLoop", self.clock))
        shared.timeouts = IdleTimeouts(asyncio.get_running_loop(), lambda _each: None, 3_600)
        self.delivery = Delivery(shared, cast("asyncio.Transport", self.transport), self.flow, self.scope, "192.0.2.1")

    async def wait(self, seconds: float, taken: int, *, for_all: bool = False) -> None:
        """The reader takes some bytes in this time, then the deadline passes, and then the wait is over."""
        self.flow.pause_writing()
        waiting = asyncio.create_task(self.delivery.wait(for_all=for_all))
        await asyncio.sleep(0)
        self.now += seconds
        self.transport.size -= taken
        self.delivery.on_timeout()
        self.flow.resume_writing()
        await waiting


@pytest.mark.parametrize(("seconds", "slow"), [(13.99, False), (14.0, True)])
async def test_the_rate_is_judged_over_all_waits(seconds: float, *, slow: bool) -> None:
    """LD3: at the minimum rate beyond the grace, and not below; time between two waits is the application's."""
    reader = _Reader(100_000)
    await reader.wait(2, taken=3_000)
    reader.now += 3_600
    await reader.wait(seconds - 2, taken=1_000)
    assert reader.transport.aborted is slow
    assert reader.scope == ({CUT_SHORT: "slow_reader"} if slow else {})


async def test_memory_is_counted_while_the_response_waits() -> None:
    """LD2: and the transport tells when it is empty, with its usual limits afterwards."""
    reader = _Reader(5_000)
    reader.flow.pause_writing()
    waiting = asyncio.create_task(reader.delivery.wait(for_all=True))
    await asyncio.sleep(0)
    assert (reader.memory.total, reader.memory.of("192.0.2.1")) == (5_000, 5_000)
    reader.transport.size = 2_000
    reader.delivery.on_timeout()
    assert reader.memory.total == 2_000
    reader.flow.resume_writing()
    await waiting
    assert (reader.memory.total, reader.transport.limits) == (0, [0, None])


async def test_a_delivery_that_is_shed_is_cut_short() -> None:
    """LD2."""
    reader = _Reader(5_000)
    reader.delivery.shed()
    assert reader.transport.aborted
    assert reader.scope[CUT_SHORT] == "memory_short"
