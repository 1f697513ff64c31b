"""One statement of one tenant, or of the house: one round trip, one transaction of its own, rows without ORM objects.

The way of the reads and writes that most requests are. Whatever needs several statements in one transaction opens a
TenantSession, which runs the same ``Prepared``: what is written for one works in the other (``Work``).
"""

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from psycopg import errors
from sqlalchemy import Delete, Insert, Select, Update
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from tenants.database.connection import work_deadline
from tenants.database.engine import CONNECTION_LIFE
from tenants.database.fairness import FairShares
from tenants.database.names import CONTROL_ROLE, CONTROL_SCHEMA, search_path
from tenants.database.outage import DATABASE_ERRORS, raise_outage
from tenants.database.pipeline import PipelineConnection, Statement
from tenants.database.use import PoolUse
from tenants.principal import TenantRef
from tenants.settings import DatabaseSettings

Row = tuple[Any, ...]
Clause = Select[Any] | Insert | Update | Delete

# Only its spelling of placeholders is used: $1 with the type's cast, which is what the server's own protocol takes.
_DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # SQLAlchemy annotates no dialect's constructor
# A plan that was made before a migration of this tenant's tables, or that the server has dropped. Whatever the group
# did was rolled back with it, so that a write may be run again as well.
_STALE_PLAN = (errors.FeatureNotSupported, errors.InvalidSqlStatementName)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement compiled once. ``parameters`` names its values in the order in which the server wants them."""

    clause: Clause
    statement: Statement
    parameters: tuple[str, ...]
    fixed: Mapping[str, object]  # values that the statement itself carries, such as a LIMIT

    def values(self, given: Mapping[str, object]) -> list[object]:
        """The statement's values, in order. Raises KeyError when one was not given."""
        return [given[name] if name in given else self.fixed[name] for name in self.parameters]


def prepare(clause: Clause) -> Prepared:
    """Compile to the server's own placeholders. Costs some 100 µs: do it once for each shape of statement.

    A default that Python makes is not made here: an INSERT must name every such column.
    """
    compiled = clause.compile(dialect=_DIALECT)
    sql = str(compiled).encode()
    name = b"s_" + hashlib.blake2b(sql, digest_size=12).hexdigest().encode()
    fixed = {key: value for key, value in compiled.params.items() if value is not None}
    return Prepared(clause, Statement(name, sql), tuple(compiled.positiontup or ()), fixed)


class Work(Protocol):
    """Runs statements in one schema, as its role: each in a transaction of its own, or all in one session."""

    async def rows(self, prepared: Prepared, given: Mapping[str, object]) -> list[Row]:
        """Run it, and return what it selects or returns. Raises Unavailable, and psycopg's or SQLAlchemy's errors."""


class Statements:
    """A few pipelined connections, in fair shares, handed to one statement after another."""

    def __init__(self, settings: DatabaseSettings, places: int | None = None) -> None:
        """``places``: connections that there may be, else the setting of those for tenants' statements."""
        self._settings = settings
        self._deadline = work_deadline(settings)
        self._idle: list[PipelineConnection] = []
        self._running = 0
        self._most = places or settings.statement_connections
        self._shares = FairShares(self._most, patience=settings.acquire_timeout, longest_queue=settings.longest_queue)

    def of(self, tenant: TenantRef) -> Work:
        """Statements of that tenant, each committed when ``rows`` returns.

        ``rows`` raises Unavailable when PostgreSQL is down, too slow, or has no connection to spare, and when the
        connection is lost. A write may then have been made or not: it is not tried again.
        """
        return _Scope(self, tenant.schema, tenant.role)

    def control(self) -> Work:
        """Statements of the house, on the control tables; as ``of``."""
        return _Scope(self, CONTROL_SCHEMA, CONTROL_ROLE)

    @property
    def use(self) -> PoolUse:
        """The connections of these statements."""
        return PoolUse(self._running, len(self._idle), self._shares.waiting, self._most)

    async def run(self, schema: str, role: str, prepared: Prepared, given: Mapping[str, object]) -> list[Row]:
        """See ``of``."""
        deadline = asyncio.get_running_loop().time() + self._deadline
        await self._shares.take(schema)
        self._running += 1
        try:
            return await self._run(schema, role.encode(), prepared.statement, prepared.values(given), deadline)
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

    async def _run(
        self, schema: str, role: bytes, statement: Statement, values: list[object], deadline: float
    ) -> list[Row]:
        path = search_path(schema).encode()
        connection = self._take(role) or await PipelineConnection.open(self._settings, deadline)
        try:
            return await connection.run(path, role, statement, values, deadline)
        except _STALE_PLAN:
            connection.forget(statement)
            return await connection.run(path, role, statement, values, deadline)
        finally:
            self._put_back(connection)

    def _take(self, role: bytes) -> PipelineConnection | None:
        """The one that served this tenant last, else the most recently used: the others grow old.

        So few backends keep a tenant's catalog, and few plans are made anew, as for another search_path they must be.
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


@dataclass(frozen=True, slots=True)
class _Scope:
    statements: Statements
    schema: str
    role: str

    async def rows(self, prepared: Prepared, given: Mapping[str, object]) -> list[Row]:
        return await self.statements.run(self.schema, self.role, prepared, given)
