"""Hot reads of one tenant: one statement, one round trip, rows without ORM objects.

For the reads that most requests are. Whatever writes, or needs two statements, opens a TenantSession.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Any

from psycopg import errors
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from tenants.database.connection import work_deadline
from tenants.database.names import search_path
from tenants.database.outage import DATABASE_ERRORS, raise_outage
from tenants.database.pipeline import PipelineConnection, Statement
from tenants.database.use import PoolUse
from tenants.principal import TenantRef
from tenants.settings import DatabaseSettings

# Only its spelling of placeholders is used: $1 with the type's cast, which is what the server's own protocol takes.
_DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # SQLAlchemy annotates no dialect's constructor
# A plan that was made before a migration of this tenant's tables, or that the server has dropped.
_STALE_PLAN = (errors.FeatureNotSupported, errors.InvalidSqlStatementName)


@dataclass(frozen=True, slots=True)
class PreparedRead:
    """A SELECT compiled once. ``parameters`` names the values in the order in which ``rows`` wants them."""

    statement: Statement
    parameters: tuple[str, ...]
    fixed: dict[str, Any]  # values that the statement itself carries, such as a LIMIT

    def values(self, given: dict[str, Any]) -> list[Any]:
        """The statement's values, in order. Raises KeyError when one was not given."""
        return [given[name] if name in given else self.fixed[name] for name in self.parameters]


def prepare_read(select: Select[Any]) -> PreparedRead:
    """Compile a SELECT to the server's own placeholders. Costs some 100 µs: do it once for each shape of query."""
    compiled = select.compile(dialect=_DIALECT)
    sql = str(compiled).encode()
    name = b"r_" + hashlib.blake2b(sql, digest_size=12).hexdigest().encode()
    fixed = {key: value for key, value in compiled.params.items() if value is not None}
    return PreparedRead(Statement(name, sql), tuple(compiled.positiontup or ()), fixed)


class TenantReads:
    """A few pipelined connections, handed to one read after another."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._idle: list[PipelineConnection] = []
        self._free = asyncio.Semaphore(settings.pool_size)
        self._asking = 0  # reads, also those that wait for a connection
        self._running = 0

    async def rows(self, tenant: TenantRef, read: PreparedRead, given: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Run the read in the tenant's own schema, as its own role.

        Raises Unavailable when PostgreSQL is down, too slow, or has no connection to spare.
        """
        self._asking += 1
        try:
            async with asyncio.timeout(work_deadline(self._settings)), self._free:
                return await self._rows(tenant, read.statement, read.values(given))
        except DATABASE_ERRORS as error:
            raise_outage(error)
            raise
        finally:
            self._asking -= 1

    @property
    def use(self) -> PoolUse:
        """The connections of these reads."""
        return PoolUse(self._running, len(self._idle), self._asking - self._running, self._settings.pool_size)

    async def close(self) -> None:
        """Close every idle connection."""
        while self._idle:
            await self._idle.pop().close()

    async def _rows(self, tenant: TenantRef, statement: Statement, values: list[Any]) -> list[tuple[Any, ...]]:
        schema, role = search_path(tenant.schema).encode(), tenant.role.encode()
        self._running += 1
        try:
            return await self._run(schema, role, statement, values)
        finally:
            self._running -= 1

    async def _run(self, schema: bytes, role: bytes, statement: Statement, values: list[Any]) -> list[tuple[Any, ...]]:
        connection = self._take() or await PipelineConnection.open(self._settings)
        try:
            return await connection.run(schema, role, statement, values)
        except _STALE_PLAN:
            connection.forget(statement)
            return await connection.run(schema, role, statement, values)
        finally:
            if connection.usable:
                self._idle.append(connection)

    def _take(self) -> PipelineConnection | None:
        # The most recently used first: the others grow old, and the same few backends keep the tenants' catalogs warm.
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None
