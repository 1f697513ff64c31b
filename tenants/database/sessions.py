"""The only two ways into the database: as the control role, or as one tenant.

Each is one transaction. The first statement of every transaction takes role and search_path together, locally; COMMIT
and ROLLBACK give both back, so a connection enters and leaves the pool with no tenant (IS2).
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import cast

from sqlalchemy import Connection, QueuePool, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from tenants.database.connection import work_deadline
from tenants.database.control_reads import ControlReads
from tenants.database.names import CONTROL_ROLE, CONTROL_SCHEMA, search_path
from tenants.database.outage import translated
from tenants.database.use import PoolUse
from tenants.principal import TenantRef
from tenants.settings import DatabaseSettings

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


class Database:
    """Opens sessions. One per process, shared by all requests."""

    def __init__(self, engine: AsyncEngine, settings: DatabaseSettings) -> None:
        self.engine = engine
        self.control_reads = ControlReads(settings)
        self._deadline = work_deadline(settings)
        self._most = settings.pool_size
        self._open = 0  # transactions, also those that wait for a connection

    @asynccontextmanager
    async def control(self) -> AsyncIterator[ControlSession]:
        """A control transaction: committed at the end of the block, rolled back when it raises.

        Raises Unavailable when PostgreSQL is down, too slow or out of connections.
        """
        session = ControlSession(
            self.engine, expire_on_commit=False, info={"schema": CONTROL_SCHEMA, "role": CONTROL_ROLE}
        )
        with self._counted():
            async with translated(), asyncio.timeout(self._deadline), session, session.begin():
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
        with self._counted():
            async with translated(), asyncio.timeout(self._deadline), session, session.begin():
                yield session

    @property
    def use(self) -> PoolUse:
        """The connections of the pool. Who has begun and not yet said a word counts as waiting."""
        pool = cast("QueuePool", self.engine.pool)
        in_use = pool.checkedout()
        return PoolUse(in_use, pool.checkedin(), max(0, self._open - in_use), self._most)

    async def close(self) -> None:
        """Close every pooled connection."""
        await self.control_reads.close()
        await self.engine.dispose()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
