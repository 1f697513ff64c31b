"""Many timeouts under one timer (PX8)."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.http1.timeouts import IdleTimeouts

pytestmark = pytest.mark.anyio

_SWEEP = 0.005


def _timeouts(on_timeout: Callable[[str], None]) -> IdleTimeouts[str]:
    return IdleTimeouts(asyncio.get_running_loop(), on_timeout, _SWEEP)


async def _next(expired: asyncio.Queue[str]) -> str:
    async with asyncio.timeout(10):
        return await expired.get()


async def test_each_timeout_fires_once_at_its_deadline() -> None:
    """PX8."""
    expired: asyncio.Queue[str] = asyncio.Queue()
    timeouts = _timeouts(expired.put_nowait)
    timeouts.set("long", 3600)
    timeouts.set("later", 0.05)
    timeouts.set("soon", 0.01)
    timeouts.set("cancelled", 0.01)
    timeouts.cancel("cancelled")
    assert [await _next(expired), await _next(expired)] == ["soon", "later"]
    assert timeouts.oldest() == "long"


async def test_setting_a_timeout_replaces_the_previous_one() -> None:
    """PX8."""
    expired: asyncio.Queue[str] = asyncio.Queue()
    timeouts = _timeouts(expired.put_nowait)
    timeouts.set("one", 0.01)
    timeouts.set("one", 3600)
    timeouts.set("two", 0.02)
    assert await _next(expired) == "two"


async def test_an_exception_for_one_key_does_not_cancel_the_other_timeouts() -> None:
    """PX8: a bug at one connection must not leave all others without a timeout."""
    expired: asyncio.Queue[str] = asyncio.Queue()
    exceptions: list[object] = []

    def on_timeout(key: str) -> None:
        if key == "faulty":
            raise ZeroDivisionError
        expired.put_nowait(key)

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: exceptions.append(context["exception"]))
    timeouts = _timeouts(on_timeout)
    timeouts.set("faulty", 0.01)
    timeouts.set("good", 0.01)
    assert await _next(expired) == "good"
    assert len(exceptions) == 1
    loop.set_exception_handler(None)
