"""Deadlines of many under one timer (PX8)."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.http1.idle_timeouts import Patience

pytestmark = pytest.mark.anyio

_SWEEP = 0.005


def _patience(ends: Callable[[str], None]) -> Patience[str]:
    return Patience(asyncio.get_running_loop(), ends, _SWEEP)


async def _next(ended: asyncio.Queue[str]) -> str:
    async with asyncio.timeout(10):
        return await ended.get()


async def test_each_ends_once_when_its_own_time_has_passed() -> None:
    """PX8."""
    ended: asyncio.Queue[str] = asyncio.Queue()
    patience = _patience(ended.put_nowait)
    patience.wait("long", 3600)
    patience.wait("later", 0.05)
    patience.wait("soon", 0.01)
    patience.wait("came", 0.01)
    patience.forget("came")
    assert [await _next(ended), await _next(ended)] == ["soon", "later"]
    assert patience.oldest() == "long"


async def test_another_deadline_takes_the_place_of_the_first() -> None:
    """PX8: of one that came in time, and is waited for again."""
    ended: asyncio.Queue[str] = asyncio.Queue()
    patience = _patience(ended.put_nowait)
    patience.wait("one", 0.01)
    patience.wait("one", 3600)
    patience.wait("two", 0.02)
    assert await _next(ended) == "two"


async def test_one_that_cannot_be_ended_does_not_keep_the_others() -> None:
    """PX8: a fault of ours at one connection must not leave all others without a deadline."""
    ended: asyncio.Queue[str] = asyncio.Queue()
    faults: list[object] = []

    def end(one: str) -> None:
        if one == "faulty":
            raise ZeroDivisionError
        ended.put_nowait(one)

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))
    patience = _patience(end)
    patience.wait("faulty", 0.01)
    patience.wait("good", 0.01)
    assert await _next(ended) == "good"
    assert len(faults) == 1
    loop.set_exception_handler(None)
