"""The plan cache: all plans in memory, so that no request reads its plan from the database.

Loaded at start, and again whenever the change listener reports ``plan <code>`` or ``reset``. Without a confirmation of
the listener the plans are read every second, so that a change takes effect within the bound of ID4. While the database
is down too, the last known plans remain (docs/architecture.md, "When a service is down").
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

_TICK = 1.0  # seconds between two checks of the listener
_UNCONFIRMED_AFTER = 2.5  # seconds without a confirmation; one arrives every second
_DEADLINE = 2.0  # seconds for reading all plans

_log = structlog.get_logger(__name__)


class PlanNotLoaded(Unavailable):
    """The tenant's plan is not loaded in this worker: it is new, or no plans could be read since start."""


class PlanCache:
    """One per worker process. ``plan`` is a dictionary look-up; a background task keeps the plans current."""

    def __init__(self, database: Database, listener: ChangeListener) -> None:
        self._database = database
        self._listener = listener
        self._plans: Mapping[str, Plan] = {}
        self.loads = 0  # successful ones
        self._stale = asyncio.Event()
        self._loading = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        listener.subscribe(self._on_change)

    def plan(self, code: str) -> Plan:
        """The plan with this code; the same object until the plan changes. Raises PlanNotLoaded."""
        try:
            return self._plans[code]
        except KeyError:
            raise PlanNotLoaded(detail=f"plan {code} is not loaded") from None

    def plans(self) -> list[Plan]:
        """All plans, lowest rank first."""
        return sorted(self._plans.values(), key=lambda each: (each.rank, each.code))

    @property
    def default(self) -> Plan:
        """The plan of tenants without a subscription. Raises PlanNotLoaded."""
        for each in self._plans.values():
            if each.rank == DEFAULT_RANK:
                return each
        raise PlanNotLoaded(detail="no plan of rank 0 is loaded")

    async def load(self) -> None:
        """Read all plans. Raises Unavailable and keeps the previous plans."""
        async with self._loading:  # one at a time: an older read must not replace a newer one
            found, previous = await self._read(), self._plans
            self.loads += 1
            # An unchanged plan stays the same object: callers cache by identity.
            self._plans = {code: previous[code] if previous.get(code) == plan else plan for code, plan in found.items()}

    async def start(self) -> None:
        """Keep the plans current in the background. Does not require the database to be up."""
        self._stale.set()
        self._task = asyncio.create_task(self._run(), name="plan-cache")

    async def close(self) -> None:
        """Stop the background task."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _read(self) -> dict[str, Plan]:
        try:
            async with asyncio.timeout(_DEADLINE):
                rows = await repository.read_every(self._database.control_reads)
        except TimeoutError as error:
            raise Unavailable(detail="the plans could not be read in time") from error
        return {row.code: plan_of(row) for row in rows}

    def _on_change(self, kind: str, _changed: str) -> None:
        if kind in {ChangeKind.PLAN, ChangeKind.RESET}:
            self._stale.set()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._stale.wait()
            if self._stale.is_set() or self._is_unconfirmed():
                await self._reload()

    def _is_unconfirmed(self) -> bool:
        return time.monotonic() - self._listener.confirmed_at > _UNCONFIRMED_AFTER

    async def _reload(self) -> None:
        self._stale.clear()  # before reading: a change announced meanwhile causes another read
        try:
            await self.load()
        except Exception as error:  # noqa: BLE001 - the background task must survive any error
            _log.warning("plans_not_reloaded", error=f"{type(error).__name__}: {error}")
            self._stale.set()
            await asyncio.sleep(_TICK)
