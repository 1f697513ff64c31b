"""The plan cache: all plans in memory, so that no request reads its plan from the database.

Loaded at start, and again whenever the change listener reports ``plan <code>`` or ``reset``, so that a change takes
effect within the bound of ID4 (``tenants/database/reloading.py``).
"""

import asyncio
from collections.abc import Mapping

from billing.plans import repository
from billing.plans.plan import DEFAULT_RANK, Plan, plan_of
from tenants.database.listener import ChangeKind, ChangeListener
from tenants.database.reloading import Reloading
from tenants.database.sessions import Database
from tenants.errors import Unavailable

_DEADLINE = 2.0  # seconds for reading all plans


class PlanNotLoaded(Unavailable):
    """The tenant's plan is not loaded in this worker: it is new, or no plans could be read since start."""


class PlanCache:
    """One per worker process. ``plan`` is a dictionary look-up; a background task keeps the plans current."""

    def __init__(self, database: Database, listener: ChangeListener) -> None:
        self._database = database
        self._plans: Mapping[str, Plan] = {}
        self.loads = 0  # successful ones
        self._loading = asyncio.Lock()
        self._reloading = Reloading("plans", listener, self.load)
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
        await self._reloading.start()

    async def close(self) -> None:
        """Stop the background task."""
        await self._reloading.close()

    async def _read(self) -> dict[str, Plan]:
        try:
            async with asyncio.timeout(_DEADLINE):
                rows = await repository.read_every(self._database.control_reads)
        except TimeoutError as error:
            raise Unavailable(detail="the plans could not be read in time") from error
        return {row.code: plan_of(row) for row in rows}

    def _on_change(self, kind: str, _changed: str) -> None:
        if kind in {ChangeKind.PLAN, ChangeKind.RESET}:
            self._reloading.mark_stale()
