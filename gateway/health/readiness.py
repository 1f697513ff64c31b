"""Readiness of a worker: database reachable, control schema up to date, plans and routes loaded, listener connected.

Redis is not checked: without it each worker enforces its share of every limit.
"""

import asyncio
import time
from collections.abc import Iterator
from typing import Protocol

from billing.plans.cache import PlanCache
from migrations.ledger import FleetCounts, Ledger
from migrations.readiness import ControlRevision
from tenants.database.listener import ChangeListener
from tenants.database.sessions import ControlSession, Database
from tenants.errors import Unavailable

_CACHE_TTL = 0.5  # seconds: frequent checks cost the database nothing
_COUNTS_TTL = 15.0  # seconds: the counts read the row of every tenant
_DATABASE_TIMEOUT = 2.0  # seconds
START_DRAINING = "tenantry_start_draining"  # key in the lifespan state: the server calls it before it shuts down
_LISTENER_TIMEOUT = 5.0  # seconds without a confirmation: the bound on the use of cached principals (ID4)


class NotReady(Unavailable):
    message = "Not ready to serve."


class ProxiedRoutes(Protocol):
    """The part of ``gateway/proxy/live.py`` that is looked at."""

    loads: int

    @property
    def unavailable(self) -> int: ...


class Readiness:
    """One per worker process. Concurrent checks share one result."""

    def __init__(
        self,
        database: Database,
        listener: ChangeListener,
        plan_cache: PlanCache,
        revision: ControlRevision,
        ledger: Ledger,
        *,
        routes: ProxiedRoutes,
    ) -> None:
        self._database = database
        self._listener = listener
        self._plan_cache = plan_cache
        self._revision = revision
        self._ledger = ledger
        self._routes = routes
        self._counts = FleetCounts(0, 0)
        self._counted_at = float("-inf")
        self._lock = asyncio.Lock()
        self._checked_at = float("-inf")
        self._missing: tuple[str, ...] = ()
        self._draining = False

    def start_draining(self) -> None:
        """Report not ready while requests are still served, before a shutdown (OP1)."""
        self._draining = True

    @property
    def routes_unavailable(self) -> int:
        """Proxied routes that this worker cannot serve: they leave it ready, since it serves everything else."""
        return self._routes.unavailable

    async def check(self) -> FleetCounts:
        """The tenants whose schemas are behind: they do not make the worker unready, which serves all others.

        Raises NotReady with the names of what is missing.
        """
        if self._draining:
            raise NotReady("Not ready to serve: shutting down.", detail="shutting down")
        async with self._lock:
            if time.monotonic() - self._checked_at > _CACHE_TTL:
                self._missing = await self._find_missing()
                self._checked_at = time.monotonic()
        if self._missing:
            raise NotReady(f"Not ready to serve: {', '.join(self._missing)}.", detail=", ".join(self._missing))
        return self._counts

    async def _find_missing(self) -> tuple[str, ...]:
        return (*await self._missing_in_database(), *self._missing_in_memory())

    async def _missing_in_database(self) -> list[str]:
        try:
            async with asyncio.timeout(_DATABASE_TIMEOUT), self._database.control() as session:
                control = await self._revision.status(session)
                if control.behind:
                    return ["migrations"]
                await self._count(session)
        except (Unavailable, TimeoutError):
            return ["database"]
        return []

    async def _count(self, session: ControlSession) -> None:
        if time.monotonic() - self._counted_at > _COUNTS_TTL:
            self._counts = await self._ledger.counts(session)
            self._counted_at = time.monotonic()

    def _missing_in_memory(self) -> Iterator[str]:
        if not self._plan_cache.plans():
            yield "plans"
        if not self._routes.loads:
            yield "routes"
        if time.monotonic() - self._listener.confirmed_at > _LISTENER_TIMEOUT:
            yield "change listener"
