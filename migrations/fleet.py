"""Migrates all tenants: each in its own transaction, in parallel; one that is locked is tried again meanwhile."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from heapq import heappop, heappush
from queue import Empty, SimpleQueue

import psycopg
from sqlalchemy import Connection, text

from migrations.locks import LOCKED, LockHolder, LockWait, LockWatch
from migrations.streams import Script
from tenants.database.outage import is_outage
from tenants.identifiers import TenantId

_BEHIND = text(
    "SELECT t.id, t.slug, m.revisions, b.columns FROM tenantry.tenants t"
    " JOIN tenantry.tenant_migrations m ON m.tenant_id = t.id"
    " LEFT JOIN tenantry.tenant_blueprints b ON b.revisions = m.revisions"
    " WHERE m.revisions <> :target ORDER BY t.id",
)
_MIGRATE = "SELECT tenantry.migrate_tenant(%s, %s, %s, %s, %s)"
# A tenant that is being deleted has its row locked: there is nothing to record then.
_NOTE_FAILURE = (
    "UPDATE tenantry.tenant_migrations SET state = 'failed', attempts = attempts + 1, error = %(error)s,"
    " changed_at = now() WHERE tenant_id ="
    " (SELECT tenant_id FROM tenantry.tenant_migrations WHERE tenant_id = %(tenant)s FOR UPDATE SKIP LOCKED)"
)


@dataclass(frozen=True, slots=True)
class TenantBehind:
    """A tenant behind the target revisions, its current revisions, and the columns that its tables have there."""

    id: TenantId
    slug: str
    revisions: tuple[str, ...]
    columns: frozenset[str] | None  # None where they are not recorded


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one tenant; ``error`` is None on success. ``holders`` are those whose locks prevented it."""

    tenant: TenantBehind
    error: str | None = None
    holders: tuple[LockHolder, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """The work for tenants that are at the same revisions."""

    script: Script
    append_only: list[str]


@dataclass(slots=True)
class _Attempts:
    """The attempts at one tenant. ``pause`` is due before the next one; None before the first."""

    tenant: TenantBehind
    pauses: Iterator[float]
    pause: float | None = None


class _Paused:
    """Attempts that wait for their time."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, TenantId, _Attempts]] = []

    def add(self, attempts: _Attempts) -> None:
        heappush(self._heap, (time.monotonic() + (attempts.pause or 0), attempts.tenant.id, attempts))

    def due(self) -> Iterator[_Attempts]:
        while self._heap and self._heap[0][0] <= time.monotonic():
            yield heappop(self._heap)[2]

    def seconds(self) -> float | None:
        """Until the next one is due; None when none waits."""
        return max(0.0, self._heap[0][0] - time.monotonic()) if self._heap else None


def tenants_behind(connection: Connection, target: tuple[str, ...]) -> list[TenantBehind]:
    """All tenants whose ledger is not at ``target``, including those that a killed run has left (IS9)."""
    rows = connection.execute(_BEHIND, {"target": list(target)})
    return [
        TenantBehind(
            TenantId(row.id), row.slug, tuple(row.revisions), None if row.columns is None else frozenset(row.columns)
        )
        for row in rows
    ]


class Fleet:
    """Worker threads, each with its own connection, that migrate tenants."""

    def __init__(
        self,
        connections: Iterable[psycopg.Connection],
        steps: dict[tuple[str, ...], Step],
        wait: LockWait,
        watch: LockWatch,
    ) -> None:
        self._steps = steps
        self._wait = wait
        self._watch = watch
        self._idle: SimpleQueue[psycopg.Connection] = SimpleQueue()
        self._size = 0
        for connection in connections:
            self._idle.put(connection)
            self._size += 1

    def migrate(self, ring: Sequence[TenantBehind], report: Callable[[Outcome], None]) -> list[Outcome]:
        """Migrate every tenant of the ring, continuing after a failure; ``report`` is called in this thread.

        A tenant that is locked pauses without holding a thread. Raises psycopg.Error when the server is down: that is
        not a failure of a tenant.
        """
        outcomes: list[Outcome] = []
        finished: SimpleQueue[Future[Outcome | _Attempts]] = SimpleQueue()
        paused = _Paused()
        for tenant in ring:
            paused.add(_Attempts(tenant, self._wait.pauses()))
        with ThreadPoolExecutor(self._size, thread_name_prefix="migrate") as pool:
            try:
                while len(outcomes) < len(ring):
                    for attempts in paused.due():
                        pool.submit(self._one, attempts).add_done_callback(finished.put)
                    result = _next(finished, paused.seconds())
                    if isinstance(result, Outcome):
                        outcomes.append(result)
                        report(result)
                    elif result is not None:
                        paused.add(result)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return outcomes

    def _one(self, attempts: _Attempts) -> Outcome | _Attempts:
        """The outcome; or the attempts, for another one after their pause."""
        tenant, holders = attempts.tenant, list[LockHolder]()
        with self._connection() as connection:
            # The first attempt is not watched: few tenants need another one.
            pid, is_first = connection.info.backend_pid, attempts.pause is None
            try:
                with nullcontext(holders) if is_first else self._watch.watching(pid) as holders:
                    self._apply(connection, tenant)
            except LOCKED as error:
                attempts.pause = next(attempts.pauses, None)
                return self._failed(connection, tenant, error, holders) if attempts.pause is None else attempts
            except psycopg.Error as error:
                if is_outage(error):
                    raise
                return self._failed(connection, tenant, error, ())
            return Outcome(tenant)

    def _failed(
        self, connection: psycopg.Connection, tenant: TenantBehind, error: psycopg.Error, holders: Sequence[LockHolder]
    ) -> Outcome:
        message = "\n".join((f"{error.sqlstate}: {error}", *map(str, holders)))
        connection.execute(_NOTE_FAILURE, {"tenant": tenant.id, "error": message})
        return Outcome(tenant, message, tuple(holders))

    def _apply(self, connection: psycopg.Connection, tenant: TenantBehind) -> None:
        step = self._steps[tenant.revisions]
        script = step.script
        values = (tenant.id, list(script.start), list(script.end), list(script.statements), step.append_only)
        connection.execute(_MIGRATE, values)

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection]:
        connection = self._idle.get()
        try:
            yield connection
        finally:
            self._idle.put(connection)


def _next(finished: SimpleQueue[Future[Outcome | _Attempts]], seconds: float | None) -> Outcome | _Attempts | None:
    """The result of the next finished attempt; None when none has finished within ``seconds``."""
    try:
        return finished.get(timeout=seconds).result()
    except Empty:
        return None
