"""Whether this worker can serve: database reachable, control schema as new as this code, plans loaded, changes heard.

Redis is not asked: without it each worker counts its own share, and serves.
"""

import asyncio
import time
from collections.abc import Iterator

from billing.plans.book import PlanBook
from migrations.readiness import ControlRevision
from tenants.database.listener import ChangeListener
from tenants.database.sessions import Database
from tenants.errors import Unavailable

_REMEMBERED = 0.5  # seconds that a finding stands, so that asking often costs the database nothing
_DEADLINE = 2.0  # seconds that the database may take
LEAVE = "tenantry_leave"  # in the lifespan's state: how a server tells its application that it is about to stop
_DEAF_AFTER = 5.0  # seconds without a confirmation of the listener: the bound of trust in what is cached (ID4)


class NotReady(Unavailable):
    message = "Not ready to serve."


class Readiness:
    """One per worker process. Many who ask at once are answered by one look."""

    def __init__(
        self, database: Database, listener: ChangeListener, plan_book: PlanBook, revision: ControlRevision
    ) -> None:
        self._database = database
        self._listener = listener
        self._plan_book = plan_book
        self._revision = revision
        self._looking = asyncio.Lock()
        self._seen_at = float("-inf")
        self._missing: tuple[str, ...] = ()
        self._leaving = False

    def leave(self) -> None:
        """The worker is about to stop: it serves whoever still comes, and is not ready for more (OP1)."""
        self._leaving = True

    async def check(self) -> None:
        """Raises NotReady with the names of what is missing."""
        if self._leaving:
            raise NotReady("Not ready to serve: about to stop.", detail="about to stop")
        async with self._looking:
            if time.monotonic() - self._seen_at > _REMEMBERED:
                self._missing = await self._look()
                self._seen_at = time.monotonic()
        if self._missing:
            raise NotReady(f"Not ready to serve: {', '.join(self._missing)}.", detail=", ".join(self._missing))

    async def _look(self) -> tuple[str, ...]:
        return (*await self._database_lacks(), *self._memory_lacks())

    async def _database_lacks(self) -> list[str]:
        try:
            async with asyncio.timeout(_DEADLINE), self._database.control() as session:
                control = await self._revision.standing(session)
        except (Unavailable, TimeoutError):
            return ["database"]
        return ["migrations"] if control.behind else []

    def _memory_lacks(self) -> Iterator[str]:
        if not self._plan_book.plans():
            yield "plans"
        if time.monotonic() - self._listener.confirmed_at > _DEAF_AFTER:
            yield "change listener"
