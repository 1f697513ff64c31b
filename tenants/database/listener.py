"""Receives every change on a connection of its own that LISTENs, so that no worker keeps trusting what has changed.

A notification arrives with the commit that sent it. Silence means no change or a dead connection: so a heartbeat runs
on the same connection. PostgreSQL sends pending notifications before it answers: after each answer, every change that
was committed before the heartbeat has arrived (``confirmed_at``).

The heartbeat writes the worker's row: the worker must be waited for before a change is answered, and has applied what
the row says (``confirmations.py``). A notification asks for it; another heartbeat is the answer.
"""

import asyncio
import contextlib
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, cast
from uuid import UUID

import psycopg
import structlog
from psycopg import sql
from sqlalchemy.engine import make_url

from tenants.database.connection import GatewayConnection
from tenants.database.engine import connect_arguments
from tenants.database.names import CHANGES_CHANNEL, CONTROL_ROLE
from tenants.database.workers import BEGIN_ROWS, CONFIRM, HEARTBEAT, REMOVE
from tenants.identifiers import new_id
from tenants.settings import DatabaseSettings

TRUSTED_FOR = 1.6  # seconds from a confirmed heartbeat for which a worker trusts its caches, by its own clock (ID14)
_HEARTBEAT = 0.4  # seconds between two heartbeats: four fit into the time for which one is trusted
_DEADLINE = 2.0  # seconds that a heartbeat, or a connection attempt, may take
_SHORTEST_PAUSE = 0.05  # seconds before the first new attempt
_LONGEST_PAUSE = 1.0
_SETTLE_WITHIN = 0.5  # seconds for other caches to be loaded again before the worker says that it applies a change
_LEAVE_WITHIN = 0.5  # seconds for removing the worker's row when it stops

_LISTEN = sql.SQL("LISTEN {}").format(sql.Identifier(CHANGES_CHANNEL))

_log = structlog.get_logger(__name__)


class ChangeKind(StrEnum):
    """The first word of a notification; the id of what changed follows."""

    API_KEY = "api_key"  # digest, hexadecimal
    OPERATOR_KEY = "operator_key"  # digest, hexadecimal
    USER = "user"  # uuid
    TENANT = "tenant"  # uuid
    PLAN = "plan"  # code
    WORKLOAD_RULE = "workload_rule"  # uuid
    ROUTES = "routes"  # number of a version, new or removed
    CACHE = "cache"  # what is to be purged, as JSON; sent by ``tenants/routes/purges.py`` and no trigger
    RESET = "reset"  # no id: notifications may have been missed


Subscriber = Callable[[str, str], None]
Settle = Callable[[], Awaitable[None]]


class ChangeListener:
    """One per worker. Subscribers are called with (kind, id), on the event loop, in order of commit."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._conninfo = make_url(settings.url).set(drivername="postgresql").render_as_string(hide_password=False)
        arguments = connect_arguments(settings)
        # For its row. The connection is no pool's, and runs nothing but the statements of this module.
        self._arguments = arguments | {"options": f"{arguments['options']} -c role={CONTROL_ROLE}"}
        self._subscribers: list[Subscriber] = []
        self._settling: list[Settle] = []
        self._worker: UUID = new_id()
        self._beat = 0  # heartbeats sent, on all connections: another process compares them
        self._asked = 0  # the last question of ``confirmations.py`` that this connection has heard of
        self._task: asyncio.Task[None] | None = None
        self._confirmed = asyncio.Event()
        self.listening = False
        self.resets = 0  # times that changes may have been missed; the first is the start
        self.confirmed_at = float("-inf")  # time.monotonic(): every change committed before has arrived

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call ``subscriber`` at every change, and with ``reset`` whenever changes may have been missed."""
        self._subscribers.append(subscriber)

    def settle_before_confirming(self, settle: Settle) -> None:
        """Wait for ``settle`` before saying that every change is applied: for a cache that is loaded in background."""
        self._settling.append(settle)

    async def start(self) -> None:
        """Listen in the background. Returns at once, also when the database is down: then it keeps trying."""
        self._task = asyncio.create_task(self._run(), name="change-listener")

    async def wait_until_listening(self, seconds: float) -> bool:
        """Whether the first LISTEN was in force within this time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._confirmed.wait()
        return self._confirmed.is_set()

    async def close(self) -> None:
        """Stop listening, and remove the worker's row: it trusts nothing from now on, and need not be waited for."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self.confirmed_at = float("-inf")
            await self._leave()

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(_LEAVE_WITHIN), self._connection() as connection:
                await connection.execute(REMOVE, {"id": self._worker})
        except (psycopg.Error, OSError, TimeoutError) as error:  # the next question removes the row
            _log.info("worker_row_left", error=f"{type(error).__name__}: {error}")

    async def _run(self) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            began = time.monotonic()
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 - also a subscriber's fault: reset, and listen again
                _log.warning("listener_lost", error=f"{type(error).__name__}: {error}")
            pause = _SHORTEST_PAUSE if self.confirmed_at > began else min(pause * 2, _LONGEST_PAUSE)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads workers, guards nothing

    async def _listen(self) -> None:
        async with self._connection() as connection:
            await _within_deadline(connection, _LISTEN)
            await _within_deadline(connection, BEGIN_ROWS)
            self.listening = True
            self.resets += 1
            self._asked = 0
            self._publish(ChangeKind.RESET, "")
            await self._beat_on(connection)

    async def _beat_on(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Heartbeats, each with the last question before which every change is applied (``seen``)."""
        seen = 0
        while True:
            sent_at, asked = await self._send_heartbeat(connection, seen)
            await self._receive(connection, 0)  # what came with the answer, before it counts as confirmed
            self.confirmed_at = sent_at
            self._confirmed.set()
            self._asked = max(self._asked, asked)
            due = time.monotonic() + _HEARTBEAT
            while self._asked <= seen and (left := due - time.monotonic()) > 0:
                await self._receive(connection, left)
            if self._asked > seen:
                if await self._is_settled():
                    seen = self._asked
                else:
                    await self._receive(connection, _HEARTBEAT)

    async def _send_heartbeat(self, connection: psycopg.AsyncConnection[Any], seen: int) -> tuple[float, int]:
        """When it was sent, and the last question that had been asked when it was executed."""
        self._beat += 1
        row = {"id": self._worker, "host": socket.gethostname(), "pid": os.getpid(), "beat": self._beat, "seen": seen}
        sent_at, cursor = await _within_deadline(connection, HEARTBEAT, row)
        found = await cursor.fetchone()
        if found is None:
            raise ConnectionError("a later heartbeat of this worker was executed before")
        return sent_at, found[0]

    async def _is_settled(self) -> bool:
        """Whether the other caches have applied every change that was received."""
        try:
            async with asyncio.timeout(_SETTLE_WITHIN):
                for settle in self._settling:
                    await settle()
        except TimeoutError:
            return False
        return True

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        async with asyncio.timeout(_DEADLINE):
            connection = await GatewayConnection.connect(
                self._conninfo, autocommit=True, **cast("dict[str, Any]", self._arguments)
            )
        try:
            yield connection
        finally:
            self.listening = False
            await connection.close()

    async def _receive(self, connection: psycopg.AsyncConnection[Any], seconds: float) -> None:
        """Publish what has arrived, or what comes next within this time. Ends with a packet: its rest would be lost."""
        async for notification in connection.notifies(timeout=seconds, stop_after=1):
            kind, _, changed = notification.payload.partition(" ")
            if kind != CONFIRM:
                self._publish(kind, changed)
            elif changed.isdecimal():
                self._asked = max(self._asked, int(changed))

    def _publish(self, kind: str, changed: str) -> None:
        for subscriber in self._subscribers:
            subscriber(kind, changed)


async def _within_deadline(
    connection: psycopg.AsyncConnection[Any], statement: sql.Composed, values: Mapping[str, object] | None = None
) -> tuple[float, psycopg.AsyncCursor[Any]]:
    """Execute, with the monotonic time of sending. Shuts the socket down when the peer does not answer in time.

    Cancelling instead would make psycopg send the same dead peer a cancel request, and wait for that as well.
    """
    sent_at = time.monotonic()
    timer = asyncio.get_running_loop().call_later(_DEADLINE, _shut, connection.fileno())
    try:
        return sent_at, await connection.execute(statement, values)
    finally:
        timer.cancel()


def _shut(descriptor: int) -> None:
    with socket.socket(fileno=os.dup(descriptor)) as peer, contextlib.suppress(OSError):
        peer.shutdown(socket.SHUT_RDWR)
