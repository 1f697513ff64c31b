"""The pool of pipelined connections: each runs one group of statements, and so one transaction, at a time.

Two classes of use share it: tenants' groups, and look-ups of the system itself (credentials and plans), for which some
connections are reserved, so that a flood of tenants' requests never delays the look-up of a credential (IS10).
"""

import asyncio
import time

from psycopg import errors

from tenants.database.connection import work_deadline
from tenants.database.engine import CONNECTION_LIFE
from tenants.database.fairness import FairShares
from tenants.database.outage import DATABASE_ERRORS, raise_outage
from tenants.database.pipeline import Group, PipelineConnection, Row
from tenants.database.use import PoolUse
from tenants.settings import DatabaseSettings

# The plan was made before a migration of this tenant's tables, or the server has dropped the statement. The whole group
# was rolled back, so that its writes may be run again as well.
_STALE_PLAN = (errors.FeatureNotSupported, errors.InvalidSqlStatementName)


class PipelinePool:
    """Runs groups of statements, with a fair share of the connections for each schema."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._deadline = work_deadline(settings)
        self._idle: list[PipelineConnection] = []
        self._running = 0
        self._size = settings.statement_connections + settings.lookup_connections
        self._shares = FairShares(
            self._size,
            max_wait=settings.acquire_timeout,
            longest_queue=settings.longest_queue,
            reserved=settings.lookup_connections,
        )

    @property
    def use(self) -> PoolUse:
        """How many connections are in use."""
        return PoolUse(self._running, len(self._idle), self._shares.waiting, self._size)

    async def run(self, schema: str, group: Group) -> list[list[Row]]:
        """Run the group in one round trip and return the rows of each statement; its writes are committed by then.

        ``schema`` is whose share of the connections it uses. Raises Unavailable when PostgreSQL is down, too slow, or
        has no free connection, and when the connection is lost: a write may then be committed or not, and is not
        retried.
        """
        deadline = asyncio.get_running_loop().time() + self._deadline
        await self._shares.take(schema)
        self._running += 1
        try:
            return await self._run(group, deadline)
        except DATABASE_ERRORS as error:
            raise_outage(error)
            raise
        finally:
            self._running -= 1
            self._shares.give_back(schema)

    async def close(self) -> None:
        """Close every idle connection."""
        while self._idle:
            self._idle.pop().close()

    async def _run(self, group: Group, deadline: float) -> list[list[Row]]:
        connection = self._take(group.role) or await PipelineConnection.open(self._settings, deadline)
        try:
            return await connection.run(group, deadline)
        except _STALE_PLAN:
            connection.forget(group)
            return await connection.run(group, deadline)
        finally:
            self._put_back(connection)

    def _take(self, role: bytes) -> PipelineConnection | None:
        """The connection that served this tenant last, else the most recently used one.

        So few backends hold a tenant's catalog, and few statements are planned again for another search_path.
        """
        while self._idle:
            connection = self._idle.pop(self._place_of(role))
            if connection.usable:
                return connection
        return None

    def _place_of(self, role: bytes) -> int:
        places = range(len(self._idle) - 1, -1, -1)
        return next((place for place in places if self._idle[place].role == role), -1)

    def _put_back(self, connection: PipelineConnection) -> None:
        if connection.usable and time.monotonic() - connection.opened_at < CONNECTION_LIFE:
            self._idle.append(connection)
        else:
            connection.close()
