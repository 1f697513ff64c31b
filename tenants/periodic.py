"""Work that a process repeats in the background until it ends."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable


class Periodic:
    """Calls ``work`` every so many seconds, in a task of its own. ``work`` may not raise."""

    def __init__(self, name: str, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._seconds = seconds
        self._work = work
        self._closing = False
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the first call is due after the interval."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    def hurry(self) -> None:
        """Make the next call due now."""
        self._due.set()

    async def close(self) -> None:
        """End. Work that has begun is completed."""
        self._closing = True
        self._due.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), self._seconds)
            self._due.clear()
            if self._closing:
                return
            await self._work()
