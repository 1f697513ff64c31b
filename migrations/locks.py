"""Waits for locks briefly and often, and finds out who holds them.

A DDL statement that waits for a lock makes every later query of the table wait behind it. So an attempt waits for a
moment only, the next one follows after a growing pause, and queries run in between.
"""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from threading import Event
from typing import Any, Self

import psycopg
from psycopg import errors as pg
from psycopg.rows import class_row
from sqlalchemy.exc import DBAPIError

from migrations.engine import owner_connection

LOCKED = (pg.LockNotAvailable, pg.DeadlockDetected)

LOCK_TIMEOUT = 0.2  # seconds that one attempt waits, and that queries behind it are held up
LOCK_WAIT = 30.0  # seconds of pauses in sum

_SHORTEST_PAUSE = 0.1  # seconds
_LONGEST_PAUSE = 2.0
_OBSERVATIONS = 5  # of each attempt: at least one falls into its wait

_HOLDERS = """
    SELECT DISTINCT holder AS pid, session.usename AS user, nullif(session.application_name, '') AS application,
        session.state, round(extract(epoch FROM clock_timestamp() - session.xact_start), 1)::float8 AS seconds,
        coalesce(relation.relname, wanted.locktype) AS relation, wanted.mode AS wanted,
        (
            SELECT string_agg(DISTINCT held.mode, ', ') FROM pg_locks AS held
            WHERE held.pid = holder AND held.granted AND held.relation = wanted.relation
        ) AS held
    FROM pg_locks AS wanted
    CROSS JOIN LATERAL unnest(pg_blocking_pids(wanted.pid)) AS holder
    LEFT JOIN pg_stat_activity AS session ON session.pid = holder
    LEFT JOIN pg_class AS relation ON relation.oid = wanted.relation
    WHERE wanted.pid = %s AND NOT wanted.granted
    ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class LockWait:
    """``timeout`` bounds the wait of one attempt, ``total`` the sum of the pauses between attempts; both in seconds."""

    timeout: float = LOCK_TIMEOUT
    total: float = LOCK_WAIT

    def pauses(self) -> Iterator[float]:
        """Seconds before the next attempt: growing, with jitter, so that parallel attempts spread out."""
        pause, left = _SHORTEST_PAUSE, self.total
        while left > 0:
            jittered = min(pause * random.uniform(0.5, 1.0), left)  # noqa: S311 - spreads attempts, guards nothing
            yield jittered
            left -= jittered
            pause = min(pause * 2, _LONGEST_PAUSE)


@dataclass(frozen=True, slots=True)
class LockHolder:
    """A session that a migration waits for. Contains no query, which could contain a tenant's data.

    ``state`` and ``seconds``, the age of its transaction, are None where the owner role is not in ``pg_monitor``.
    """

    pid: int  # 0 for a prepared transaction
    user: str | None
    application: str | None
    state: str | None
    seconds: float | None
    relation: str  # the table or index; for a lock on something else, its kind
    wanted: str  # the mode of the lock that the migration waits for
    held: str | None  # the modes that the session holds on it; None when it waits itself, ahead of the migration

    def __str__(self) -> str:
        name = f" ({self.application})" if self.application else ""
        state = f", {self.state} for {self.seconds:.0f} s" if self.state and self.seconds is not None else ""
        session = f"pid {self.pid}, {self.user or 'unknown user'}{name}{state}"
        return f"{self.relation}: waits for {self.wanted}, blocked by {self.held or 'a waiting session'} of {session}"

    def as_json(self) -> dict[str, object]:
        return asdict(self)


class StillLocked(Exception):
    """A lock that the migration of the control schema needs is held by other sessions. Nothing was changed."""

    def __init__(self, holders: tuple[LockHolder, ...]) -> None:
        self.holders = holders
        super().__init__("The control schema is locked by other sessions. End them or wait, then run it again.")


class LockWatch:
    """Finds out whom a session waits for, over a connection of its own: the session itself is waiting."""

    def __init__(self, owner_url: str, timeout: float) -> None:
        self._connection = owner_connection(owner_url, timeout)
        self._pause = timeout / _OBSERVATIONS
        _become_monitor(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def holders(self, pid: int) -> tuple[LockHolder, ...]:
        """Who holds the lock that this session waits for; empty when it does not wait."""
        with self._connection.cursor(row_factory=class_row(LockHolder)) as cursor:
            return tuple(cursor.execute(_HOLDERS, (pid,)).fetchall())

    @contextmanager
    def watching(self, pid: int) -> Iterator[list[LockHolder]]:
        """A list that contains, at the end, whom the session last waited for. Raises psycopg.Error."""
        found: list[LockHolder] = []
        done = Event()
        with ThreadPoolExecutor(1, thread_name_prefix="lock-watch") as pool:
            observation = pool.submit(self._observe, pid, found, done)
            try:
                yield found
            finally:
                done.set()
                observation.result()

    def _observe(self, pid: int, found: list[LockHolder], done: Event) -> None:
        while not done.wait(self._pause):
            found[:] = self.holders(pid) or found


def retry_locked(work: Callable[[], None], pid: int, wait: LockWait, watch: LockWatch) -> None:
    """Do the work of session ``pid``, again while it meets locks. Raises StillLocked when ``wait`` is over."""
    pauses = wait.pauses()
    while True:
        with watch.watching(pid) as holders:
            try:
                work()
            except DBAPIError as error:
                if not isinstance(error.orig, LOCKED):
                    raise
                blocked = error
            else:
                return
        pause = next(pauses, None)
        if pause is None:
            raise StillLocked(tuple(holders)) from blocked
        time.sleep(pause)


def _become_monitor(connection: psycopg.Connection[Any]) -> None:
    """PostgreSQL shows the state of other roles' sessions to pg_monitor; older set-ups did not grant it."""
    row = connection.execute("SELECT pg_has_role(current_user, 'pg_monitor', 'MEMBER')").fetchone()
    if row is not None and row[0]:
        connection.execute("SET ROLE pg_monitor")
