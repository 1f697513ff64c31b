"""Every plan in memory, so that a request asks nobody for its own.

Loaded at start, and again whenever the change listener says ``plan <code>`` or ``reset``. While the listener is deaf
the plans are read anew every second, so that a change is in force within ID4's bound; while the database is down as
well, the last known plans stay (DESIGN, "When something is down").
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping

import structlog

from billing.plans import repository
from billing.plans.plan import DEFAULT_RANK, Plan, plan_of
from tenants.database.listener import ChangeKind, ChangeListener
from tenants.database.sessions import Database
from tenants.errors import Unavailable

_TICK = 1.0  # seconds between two looks at the listener
_DEAF_AFTER = 2.5  # seconds without a confirmation, which comes every second

_ANSWERED_WITHIN = 2.0  # seconds that the database has for them

_log = structlog.get_logger(__name__)


class PlanNotLoaded(Unavailable):
    """A tenant's plan that this worker has not read yet: it was made a moment ago, or nothing was ever loaded."""


class PlanBook:
    """One per worker process. ``plan`` is a dictionary look-up; the plans are kept up behind it."""

    def __init__(self, database: Database, listener: ChangeListener) -> None:
        self._database = database
        self._listener = listener
        self._plans: Mapping[str, Plan] = {}
        self.loads = 0  # that succeeded
        self._stale = asyncio.Event()
        self._reading = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        listener.subscribe(self._hear)

    def plan(self, code: str) -> Plan:
        """The plan of that code. The same object until it changes. Raises PlanNotLoaded."""
        try:
            return self._plans[code]
        except KeyError:
            raise PlanNotLoaded(detail=f"plan {code} is not in the book") from None

    def plans(self) -> list[Plan]:
        """Every plan, the lowest rank first."""
        return sorted(self._plans.values(), key=lambda each: (each.rank, each.code))

    @property
    def default(self) -> Plan:
        """The plan of tenants that have bought nothing. Raises PlanNotLoaded."""
        for each in self._plans.values():
            if each.rank == DEFAULT_RANK:
                return each
        raise PlanNotLoaded(detail="no plan of rank 0 is in the book")

    async def load(self) -> None:
        """Read every plan. Raises Unavailable, and keeps what it had."""
        async with self._reading:  # one at a time: what was read first must not replace what was read last
            found, known = await self._read(), self._plans
            self.loads += 1
            # A plan that did not change stays the same object, which is what others remember things by.
            self._plans = {code: known[code] if known.get(code) == plan else plan for code, plan in found.items()}

    async def start(self) -> None:
        """Keep the plans up in the background. A database that is down is waited for, not required."""
        self._stale.set()
        self._task = asyncio.create_task(self._run(), name="plan-book")

    async def close(self) -> None:
        """Stop keeping up."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _read(self) -> dict[str, Plan]:
        try:
            async with asyncio.timeout(_ANSWERED_WITHIN):
                rows = await repository.read_every(self._database.control_reads)
        except TimeoutError as error:
            raise Unavailable(detail="the plans could not be read in time") from error
        return {row.code: plan_of(row) for row in rows}

    def _hear(self, kind: str, _changed: str) -> None:
        if kind in {ChangeKind.PLAN, ChangeKind.RESET}:
            self._stale.set()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._stale.wait()
            if self._stale.is_set() or self._deaf():
                await self._reload()

    def _deaf(self) -> bool:
        return time.monotonic() - self._listener.confirmed_at > _DEAF_AFTER

    async def _reload(self) -> None:
        self._stale.clear()  # before reading: a change that is announced meanwhile is read again
        try:
            await self.load()
        except Exception as error:  # noqa: BLE001 - whatever it is, the book must not stop being kept up
            _log.warning("plans_not_reloaded", error=f"{type(error).__name__}: {error}")
            self._stale.set()
            await asyncio.sleep(_TICK)
