"""The only two ways into the database: as the control role, or as one tenant.

Each is one transaction. The first statement of every transaction takes role and search_path together, locally; COMMIT
and ROLLBACK give both back, so a connection enters and leaves the pool with no tenant (IS2).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

from sqlalchemy import Connection, QueuePool, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from tenants.database.connection import work_deadline
from tenants.database.fairness import HOUSE, FairShares
from tenants.database.names import CONTROL_ROLE, CONTROL_SCHEMA, search_path
from tenants.database.outage import translated
from tenants.database.statements import Prepared, Row, Statements
from tenants.database.use import PoolUse
from tenants.principal import TenantRef
from tenants.settings import DatabaseSettings

_RESERVED = 1  # connection of a process's sessions that no tenant takes
_ENTER = text("SELECT set_config('search_path', :search_path, true), set_config('role', :role, true)")


class _ScopedSession(Session):
    """Takes its role and search_path at every begin, since ``SET LOCAL`` ends at COMMIT."""


@event.listens_for(_ScopedSession, "after_begin")
def _enter(session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
    connection.execute(_ENTER, {"search_path": search_path(session.info["schema"]), "role": session.info["role"]})


class ControlSession(AsyncSession):
    """One transaction on the control schema, as the control role."""

    sync_session_class = _ScopedSession


class TenantSession(AsyncSession):
    """One transaction in one tenant's schema, as that tenant's role; it can see nothing else."""

    sync_session_class = _ScopedSession
    tenant: TenantRef

    async def rows(self, prepared: Prepared, given: Mapping[str, object]) -> list[Row]:
        """Run it inside this transaction, which goes on. Raises sqlalchemy.exc.DBAPIError."""
        return [tuple(row) for row in (await self.execute(prepared.clause, dict(given))).all()]


class Database:
    """Opens sessions. One per process, shared by all requests, in fair shares."""

    def __init__(self, engine: AsyncEngine, settings: DatabaseSettings) -> None:
        self.engine = engine
        self._lookups = Statements(settings, places=settings.lookup_connections)
        self.control_reads = self._lookups.control()
        self._deadline = work_deadline(settings)
        self._most = settings.session_connections
        self._shares = FairShares(
            settings.session_connections,
            patience=settings.acquire_timeout,
            longest_queue=settings.longest_queue,
            reserved=min(_RESERVED, settings.session_connections - 1),
        )

    @asynccontextmanager
    async def control(self, tenant: TenantRef | None = None) -> AsyncIterator[ControlSession]:
        """A control transaction: committed at the end of the block, rolled back when it raises.

        What is asked by a tenant takes its connection out of ``tenant``'s share; without one, it is work of our own.
        Raises Unavailable when PostgreSQL is down, too slow or out of connections.
        """
        session = ControlSession(
            self.engine, expire_on_commit=False, info={"schema": CONTROL_SCHEMA, "role": CONTROL_ROLE}
        )
        async with self._transaction(session, tenant.schema if tenant else HOUSE):
            yield session

    @asynccontextmanager
    async def tenant(self, tenant: TenantRef) -> AsyncIterator[TenantSession]:
        """A transaction in the tenant's own schema: committed at the end of the block, rolled back when it raises.

        Raises Unavailable as ``control`` does.
        """
        session = TenantSession(
            self.engine, expire_on_commit=False, info={"schema": tenant.schema, "role": tenant.role}
        )
        session.tenant = tenant
        async with self._transaction(session, tenant.schema):
            yield session

    @property
    def lookups(self) -> PoolUse:
        """The connections of ``control_reads``."""
        return self._lookups.use

    @property
    def use(self) -> PoolUse:
        """The connections of the sessions."""
        pool = cast("QueuePool", self.engine.pool)
        return PoolUse(pool.checkedout(), pool.checkedin(), self._shares.waiting, self._most)

    @asynccontextmanager
    async def _transaction(self, session: AsyncSession, schema: str) -> AsyncIterator[None]:
        async with translated(), asyncio.timeout(self._deadline):
            await self._shares.take(schema)
            try:
                async with session, session.begin():
                    yield
            finally:
                self._shares.give_back(schema)

    async def close(self) -> None:
        """Close every pooled connection."""
        await self._lookups.close()
        await self.engine.dispose()
