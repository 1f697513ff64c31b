"""An event loop that does not turn is noticed: for how long, why, and where."""

import asyncio
import gc
import time
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.health.loop_watch import BLOCKED, BOUNDS, Cause, LoopWatch

pytestmark = pytest.mark.anyio

_LONG = 4 * BLOCKED  # seconds


@pytest.fixture
async def watch() -> Any:
    made = LoopWatch()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with capture_logs() as found:
        yield found


async def _next_tick() -> None:
    await asyncio.sleep(0.05)  # a tick that is due comes before it ends, however late both are


def _sleeps_where_it_must_not() -> None:
    time.sleep(_LONG)


def _computes_for_long() -> None:
    end = time.thread_time() + _LONG
    while time.thread_time() < end:
        pass


async def test_a_call_that_waits_is_counted_and_named(watch: LoopWatch, lines: list[Any]) -> None:
    await _next_tick()
    _sleeps_where_it_must_not()
    await _next_tick()
    assert watch.blocks[Cause.WAITING] >= 1
    line = max(lines, key=lambda each: each["seconds"])
    assert (line["event"], line["log_level"]) == ("event_loop_blocked", "warning")
    assert line["seconds"] >= _LONG - 0.02
    assert "_sleeps_where_it_must_not" in line["where"].partition(" < ")[0]
    assert watch.late_seconds >= _LONG - 0.02
    assert sum(watch.late[bisect_left(BOUNDS, BLOCKED) :]) >= 1


async def test_a_long_computation_is_counted_and_named(watch: LoopWatch, lines: list[Any]) -> None:
    await _next_tick()
    _computes_for_long()
    await _next_tick()
    assert watch.blocks[Cause.COMPUTING] >= 1
    assert any("_computes_for_long" in each["where"] for each in lines)


async def test_a_collection_of_garbage_is_named_as_what_it_is(watch: LoopWatch, lines: list[Any]) -> None:
    """Where it was cannot be seen: no other thread runs meanwhile."""

    def takes_long(phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            time.sleep(_LONG)

    await _next_tick()
    gc.callbacks.append(takes_long)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(takes_long)
    await _next_tick()
    assert watch.garbage.seconds[2] >= _LONG
    assert any(each["where"] == "collection of garbage" for each in lines)


async def test_one_that_is_often_held_up_does_not_fill_the_log(watch: LoopWatch, lines: list[Any]) -> None:
    for _ in range(3):
        await _next_tick()
        time.sleep(2 * BLOCKED)  # noqa: ASYNC251 - that is what is looked for
    await _next_tick()
    assert sum(watch.blocks.values()) >= 3
    assert len(lines) == 1
    watch._said_at = float("-inf")
    time.sleep(2 * BLOCKED)  # noqa: ASYNC251
    await _next_tick()
    assert lines[1]["others_before"] >= 2
