"""Validations of stale answers in the background: few at a time, ended when the worker stops."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from tenants.errors import TenantryError

MOST_AT_ONCE = 32  # of a worker; beyond it a later request begins the validation

_log = structlog.get_logger(__name__)


class Background:
    """Tasks that no client waits for."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def full(self) -> bool:
        """No further one may begin."""
        return self._closing or len(self._tasks) >= MOST_AT_ONCE

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin, if not ``full``."""
        task = asyncio.create_task(_logged(work), name="revalidate")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel all."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except TenantryError as error:
        _log.info("revalidation_failed", error=error.detail or error.code)
    except Exception:  # noqa: BLE001 - no request fails, and the next one tries again
        _log.exception("revalidation_failed")
