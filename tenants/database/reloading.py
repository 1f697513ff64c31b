"""Keeps a cache of a worker current: loaded again when a change is announced, and all the time without the listener.

While the database is down too, the last known contents remain (docs/architecture.md, "When a service is down").
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import structlog

from tenants.database.listener import TRUSTED_FOR, ChangeListener

_TICK = 0.3  # seconds between two checks of the listener
_PAUSE = 1.0  # seconds after a load that failed
_UNCONFIRMED_AFTER = TRUSTED_FOR  # seconds without a confirmation

_log = structlog.get_logger(__name__)


class Reloading:
    """Calls ``load`` in the background, once at a time: at the start, and after each call of ``mark_stale``."""

    def __init__(self, name: str, listener: ChangeListener, load: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._listener = listener
        self._load = load
        self._stale = asyncio.Event()
        self._current = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        listener.settle_before_confirming(self.settled)

    @property
    def is_unconfirmed(self) -> bool:
        """Changes may have been missed."""
        return time.monotonic() - self._listener.confirmed_at > _UNCONFIRMED_AFTER

    def mark_stale(self) -> None:
        """Load again: something has changed."""
        self._stale.set()
        self._current.clear()

    async def settled(self) -> None:
        """Return when everything that was marked stale by now is loaded again."""
        await self._current.wait()

    async def start(self) -> None:
        """Does not require the database to be up."""
        self.mark_stale()
        self._task = asyncio.create_task(self._run(), name=f"{self._name}-cache")

    async def close(self) -> None:
        """Stop the background task."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._stale.wait()
            if self._stale.is_set() or self.is_unconfirmed:
                await self._reload()

    async def _reload(self) -> None:
        self._stale.clear()  # before reading: a change announced meanwhile causes another read
        try:
            await self._load()
        except Exception as error:  # noqa: BLE001 - the background task must survive any error
            _log.warning("cache_not_reloaded", cache=self._name, error=f"{type(error).__name__}: {error}")
            self.mark_stale()
            await asyncio.sleep(_PAUSE)
        else:
            if not self._stale.is_set():
                self._current.set()
