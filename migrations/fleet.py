"""Migrates all tenants: each in its own transaction, in parallel, canaries first."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue

import psycopg
from psycopg import errors as pg
from sqlalchemy import Connection, text

from migrations.streams import Script
from tenants.database.outage import is_outage
from tenants.identifiers import TenantId

_LOCK_ATTEMPTS = 3  # a tenant under load can hold a lock for a moment

_BEHIND = text(
    "SELECT t.id, t.slug, m.revisions FROM tenantry.tenants t JOIN tenantry.tenant_migrations m ON m.tenant_id = t.id"
    " WHERE m.revisions <> :target ORDER BY t.id",
)
_MIGRATE = "SELECT tenantry.migrate_tenant(%s, %s, %s, %s, %s)"
_NOTE_FAILURE = (
    "WITH tenant AS (UPDATE tenantry.tenants SET migration_failed_at = now() WHERE id = %(tenant)s RETURNING id)"
    " UPDATE tenantry.tenant_migrations SET state = 'failed', attempts = attempts + 1, error = %(error)s,"
    " changed_at = now() FROM tenant WHERE tenant_id = tenant.id"
)


@dataclass(frozen=True, slots=True)
class TenantBehind:
    """A tenant behind the target revisions, and its current revisions."""

    id: TenantId
    slug: str
    revisions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one tenant; ``error`` is None on success."""

    tenant: TenantBehind
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """The work for tenants that are at the same revisions."""

    script: Script
    append_only: list[str]


def tenants_behind(connection: Connection, target: tuple[str, ...]) -> list[TenantBehind]:
    """All tenants whose ledger is not at ``target``, including those that a killed run has left (IS9)."""
    rows = connection.execute(_BEHIND, {"target": list(target)})
    return [TenantBehind(TenantId(row.id), row.slug, tuple(row.revisions)) for row in rows]


class Fleet:
    """Worker threads, each with its own connection, that migrate tenants."""

    def __init__(self, connections: Iterable[psycopg.Connection], steps: dict[tuple[str, ...], Step]) -> None:
        self._steps = steps
        self._idle: SimpleQueue[psycopg.Connection] = SimpleQueue()
        self._size = 0
        for connection in connections:
            self._idle.put(connection)
            self._size += 1

    def migrate(self, ring: Sequence[TenantBehind], report: Callable[[Outcome], None]) -> list[Outcome]:
        """Migrate every tenant of the ring, continuing after a failure; ``report`` is called in this thread.

        Raises psycopg.Error when the server is down: that is not a failure of a tenant.
        """
        outcomes: list[Outcome] = []
        with ThreadPoolExecutor(self._size, thread_name_prefix="migrate") as pool:
            tasks = [pool.submit(self._one, tenant) for tenant in ring]
            try:
                for task in as_completed(tasks):
                    outcomes.append(task.result())
                    report(outcomes[-1])
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return outcomes

    def _one(self, tenant: TenantBehind) -> Outcome:
        with self._connection() as connection:
            try:
                self._apply(connection, tenant)
            except psycopg.Error as error:
                if is_outage(error) and not isinstance(error, pg.LockNotAvailable):
                    raise
                message = f"{error.sqlstate}: {error}"
                connection.execute(_NOTE_FAILURE, {"tenant": tenant.id, "error": message})
                return Outcome(tenant, message)
            return Outcome(tenant)

    def _apply(self, connection: psycopg.Connection, tenant: TenantBehind) -> None:
        step = self._steps[tenant.revisions]
        script = step.script
        values = (tenant.id, list(script.start), list(script.end), list(script.statements), step.append_only)
        for attempt in range(1, _LOCK_ATTEMPTS + 1):
            try:
                connection.execute(_MIGRATE, values)
            except pg.LockNotAvailable:
                if attempt == _LOCK_ATTEMPTS:
                    raise
            else:
                return

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection]:
        connection = self._idle.get()
        try:
            yield connection
        finally:
            self._idle.put(connection)
