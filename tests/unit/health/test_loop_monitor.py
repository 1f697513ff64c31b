"""A blocked event loop is reported with duration, cause and location."""

import asyncio
import gc
import time
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.health.loop_monitor import BOUNDS, STALL, Cause, LoopMonitor

pytestmark = pytest.mark.anyio

_LONG = 4 * STALL  # seconds


@pytest.fixture
async def monitor() -> Any:
    made = LoopMonitor()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with capture_logs() as found:
        yield found


async def _next_heartbeat() -> None:
    await asyncio.sleep(0.05)  # a heartbeat that is due runs before this returns, however late both are


def _blocking_sleep() -> None:
    time.sleep(_LONG)


def _long_computation() -> None:
    end = time.thread_time() + _LONG
    while time.thread_time() < end:
        pass


async def test_a_blocking_call_is_counted_and_located(monitor: LoopMonitor, lines: list[Any]) -> None:
    await _next_heartbeat()
    _blocking_sleep()
    await _next_heartbeat()
    assert monitor.stalls[Cause.WAITING] >= 1
    line = max(lines, key=lambda each: each["seconds"])
    assert (line["event"], line["log_level"]) == ("event_loop_blocked", "warning")
    assert line["seconds"] >= _LONG - 0.02
    assert "_blocking_sleep" in line["where"].partition(" < ")[0]
    assert monitor.lag_seconds >= _LONG - 0.02
    assert sum(monitor.lag_counts[bisect_left(BOUNDS, STALL) :]) >= 1


async def test_a_long_computation_is_counted_and_located(monitor: LoopMonitor, lines: list[Any]) -> None:
    await _next_heartbeat()
    _long_computation()
    await _next_heartbeat()
    assert monitor.stalls[Cause.COMPUTING] >= 1
    assert any("_long_computation" in each["where"] for each in lines)


async def test_a_garbage_collection_is_named_as_the_cause(monitor: LoopMonitor, lines: list[Any]) -> None:
    """It cannot be located, since no other thread runs meanwhile."""

    def slow_callback(phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            time.sleep(_LONG)

    await _next_heartbeat()
    gc.callbacks.append(slow_callback)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(slow_callback)
    await _next_heartbeat()
    assert monitor.garbage.seconds[2] >= _LONG
    assert any(each["where"] == "garbage collection" for each in lines)


async def test_log_lines_about_stalls_are_rate_limited(monitor: LoopMonitor, lines: list[Any]) -> None:
    for _ in range(3):
        await _next_heartbeat()
        time.sleep(2 * STALL)  # noqa: ASYNC251 - this is what the test measures
    await _next_heartbeat()
    assert sum(monitor.stalls.values()) >= 3
    assert len(lines) == 1
    monitor._logged_at = float("-inf")
    time.sleep(2 * STALL)  # noqa: ASYNC251
    await _next_heartbeat()
    assert lines[1]["unlogged_stalls"] >= 2
