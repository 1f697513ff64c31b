"""Transactions on the database: as the control role, or as one tenant.

The first statement of every transaction sets role and search_path together, locally; COMMIT and ROLLBACK reset both, so
that a connection enters and leaves its pool with no tenant (IS2). A tenant's transaction has two forms with the same
guarantees: a group of statements in one round trip (``groups.py``), and the interactive session.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

from sqlalchemy import Connection, CursorResult, QueuePool, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from tenants.database.connection import work_deadline
from tenants.database.fairness import SYSTEM, FairShares, management_of
from tenants.database.groups import StatementGroup
from tenants.database.names import CONTROL_ROLE, CONTROL_SCHEMA, search_path
from tenants.database.outage import translated
from tenants.database.pipeline import Call, Group
from tenants.database.pool import PipelinePool
from tenants.database.statements import Bound, Prepared, Row, Work, driver_form
from tenants.database.use import PoolUse
from tenants.principal import TenantRef
from tenants.settings import DatabaseSettings

_RESERVED = 1  # connection of a process's sessions that no tenant takes
_ENTER = text("SELECT set_config('search_path', :search_path, true), set_config('role', :role, true)")
_ENTER_CONTROL = (
    text(f"SET LOCAL ROLE {CONTROL_ROLE}"),
    text(f"SET LOCAL search_path = {search_path(CONTROL_SCHEMA)}"),
)


class _ScopedSession(Session):
    """Sets its role and search_path at every begin, since ``SET LOCAL`` ends at COMMIT."""


@event.listens_for(_ScopedSession, "after_begin")
def _enter(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    if transaction.nested:  # a savepoint is inside the role already, which may not set another one
        return
    connection.execute(_ENTER, {"search_path": search_path(session.info["schema"]), "role": session.info["role"]})


class ControlSession(AsyncSession):
    """One transaction on the control schema, as the control role."""

    sync_session_class = _ScopedSession

    async def rows(self, prepared: Prepared, given: Mapping[str, object]) -> list[Row]:
        """Run it inside this transaction, which continues. Raises sqlalchemy.exc.DBAPIError."""
        form = driver_form(prepared.call(given))
        return [tuple(row) for row in (await (await self.connection()).exec_driver_sql(*form)).all()]


class TenantWork(Work, Protocol):
    """What the shared CRUD service needs of a tenant's transaction: a request's own, or a session that others share."""

    @property
    def tenant(self) -> TenantRef:
        """Whose schema it works in."""

    async def write(self, prepared: Prepared, given: Mapping[str, object], control: Sequence[Bound]) -> list[Row]:
        """Run a change, and ``control`` as the control role in the same transaction, after all of the tenant's work."""

    def session(self) -> AbstractAsyncContextManager["TenantSession"]:
        """The interactive session of this work: a new one that is committed at its end, or the one that it is."""


class TenantSession(AsyncSession):
    """One transaction in one tenant's schema, as that tenant's role; it can see nothing else."""

    sync_session_class = _ScopedSession
    tenant: TenantRef
    control: list[Bound]  # runs as the control role at the end of the transaction

    async def rows(self, prepared: Prepared, given: Mapping[str, object]) -> list[Row]:
        """Run it inside this transaction, which continues. Raises sqlalchemy.exc.DBAPIError."""
        return [tuple(row) for row in (await self._run(prepared.call(given))).all()]

    async def write(self, prepared: Prepared, given: Mapping[str, object], control: Sequence[Bound]) -> list[Row]:
        """As ``rows``; ``control`` is run once at the end of the transaction, however often it is asked for."""
        rows = await self.rows(prepared, given)
        self.control.extend(each for each in control if each not in self.control)
        return rows

    @asynccontextmanager
    async def session(self) -> AsyncIterator["TenantSession"]:
        """The session itself."""
        yield self

    async def run_control_part(self) -> None:
        """Switch to the control role and run what was asked for. For ``Database`` alone: no tenant's work follows."""
        if self.control:
            await self.flush()
            for clause in _ENTER_CONTROL:
                await self.execute(clause)
            for bound in self.control:
                await self._run(bound.call())

    async def _run(self, call: Call) -> CursorResult[Any]:
        """Past SQLAlchemy's cache of compiled statements, which would keep each shape of a list a second time."""
        return await (await self.connection()).exec_driver_sql(*driver_form(call))


class Database:
    """Opens transactions. One per process, shared by all requests, in fair shares."""

    def __init__(self, engine: AsyncEngine, settings: DatabaseSettings) -> None:
        self.engine = engine
        self._groups = PipelinePool(settings)
        self.control_reads: Work = _ControlReads(self._groups)
        self._deadline = work_deadline(settings)
        self._size = settings.session_connections
        self._shares = FairShares(
            settings.session_connections,
            max_wait=settings.acquire_timeout,
            longest_queue=settings.longest_queue,
            reserved=min(_RESERVED, settings.session_connections - 1),
        )

    def group(self, tenant: TenantRef) -> StatementGroup:
        """A transaction of the tenant as an ordered group of statements, sent by its ``commit``."""
        return StatementGroup(self._groups, tenant)

    def statements(self, tenant: TenantRef) -> "TenantStatements":
        """Statements of the tenant that are transactions of their own: groups of one."""
        return TenantStatements(self._groups, tenant, self.tenant)

    def management(self, tenant: TenantRef) -> Work:
        """Single reads in the tenant's schema, with its share of the connections for management."""
        return _ManagementReads(self._groups, tenant)

    @asynccontextmanager
    async def control(self, tenant: TenantRef | None = None) -> AsyncIterator[ControlSession]:
        """A control transaction: committed at the end of the block, rolled back when it raises.

        Work that a tenant asks for uses its share of the connections for management, which its data traffic cannot
        hold; without ``tenant``, it is the system's own.
        Raises Unavailable when PostgreSQL is down, too slow or out of connections.
        """
        session = ControlSession(
            self.engine, expire_on_commit=False, info={"schema": CONTROL_SCHEMA, "role": CONTROL_ROLE}
        )
        async with self._transaction(session, management_of(tenant.schema) if tenant else SYSTEM):
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
        session.control = []
        async with self._transaction(session, tenant.schema):
            yield session
            await session.run_control_part()

    @property
    def use(self) -> Mapping[str, PoolUse]:
        """How many connections are in use, by pool."""
        pool = cast("QueuePool", self.engine.pool)
        return {
            "sessions": PoolUse(pool.checkedout(), pool.checkedin(), self._shares.waiting, self._size),
            "statements": self._groups.use,
        }

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
        await self._groups.close()
        await self.engine.dispose()


@dataclass(frozen=True, slots=True)
class TenantStatements:
    """Statements of one tenant, each a transaction of its own in one round trip."""

    pool: PipelinePool
    tenant: TenantRef
    open_session: Callable[[TenantRef], AbstractAsyncContextManager[TenantSession]]

    async def rows(self, prepared: Prepared, given: Mapping[str, object]) -> list[Row]:
        """Run it; a write is committed by then. Raises as ``PipelinePool.run`` does."""
        return (await self.pool.run(self.tenant.schema, self._group(prepared.call(given))))[0]

    async def write(self, prepared: Prepared, given: Mapping[str, object], control: Sequence[Bound]) -> list[Row]:
        """Run it, and ``control`` as the control role, in one transaction and one round trip."""
        group = self._group(prepared.call(given), [each.call() for each in control])
        return (await self.pool.run(self.tenant.schema, group))[0]

    def _group(self, call: Call, control: Sequence[Call] = ()) -> Group:
        return Group(search_path(self.tenant.schema).encode(), self.tenant.role.encode(), (call,), control)

    def session(self) -> AbstractAsyncContextManager[TenantSession]:
        """A session of its own."""
        return self.open_session(self.tenant)


@dataclass(frozen=True, slots=True)
class _ManagementReads:
    """Single statements of one tenant, which its data traffic cannot keep waiting (TH10)."""

    pool: PipelinePool
    tenant: TenantRef

    async def rows(self, prepared: Prepared, given: Mapping[str, object]) -> list[Row]:
        path, role = search_path(self.tenant.schema).encode(), self.tenant.role.encode()
        return (await self.pool.run(management_of(self.tenant.schema), Group(path, role, (prepared.call(given),))))[0]


@dataclass(frozen=True, slots=True)
class _ControlReads:
    """Single statements on the control tables, as the control role."""

    pool: PipelinePool

    async def rows(self, prepared: Prepared, given: Mapping[str, object]) -> list[Row]:
        group = Group(search_path(CONTROL_SCHEMA).encode(), CONTROL_ROLE.encode(), (prepared.call(given),))
        return (await self.pool.run(SYSTEM, group))[0]
