"""Receives every change on a connection of its own that LISTENs, so that no worker keeps trusting what has changed.

A notification arrives with the commit that sent it. Silence means no change or a dead connection: so a heartbeat runs
on the same connection. PostgreSQL sends pending notifications before it answers: after each answer, every change that
was committed before the heartbeat has arrived (``confirmed_at``).
"""

import asyncio
import contextlib
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from typing import Any, cast

import psycopg
import structlog
from psycopg import sql
from sqlalchemy.engine import make_url

from tenants.database.connection import GatewayConnection
from tenants.database.engine import connect_arguments
from tenants.database.names import CHANGES_CHANNEL
from tenants.settings import DatabaseSettings

_HEARTBEAT = 1.0  # seconds between two heartbeats
_DEADLINE = 2.0  # seconds that a heartbeat, or a connection attempt, may take
_SHORTEST_PAUSE = 0.05  # seconds before the first new attempt
_LONGEST_PAUSE = 1.0

_LISTEN = sql.SQL("LISTEN {}").format(sql.Identifier(CHANGES_CHANNEL))
_HEARTBEAT_QUERY = sql.SQL("SELECT 1").format()

_log = structlog.get_logger(__name__)


class ChangeKind(StrEnum):
    """The first word of a notification; the id of what changed follows."""

    API_KEY = "api_key"  # digest, hexadecimal
    OPERATOR_KEY = "operator_key"  # digest, hexadecimal
    USER = "user"  # uuid
    TENANT = "tenant"  # uuid
    PLAN = "plan"  # code
    WORKLOAD_RULE = "workload_rule"  # uuid
    RESET = "reset"  # no id: notifications may have been missed


Subscriber = Callable[[str, str], None]


class ChangeListener:
    """One per worker. Subscribers are called with (kind, id), on the event loop, in order of commit."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._conninfo = make_url(settings.url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._arguments = connect_arguments(settings)
        self._subscribers: list[Subscriber] = []
        self._task: asyncio.Task[None] | None = None
        self._confirmed = asyncio.Event()
        self.listening = False
        self.resets = 0  # times that changes may have been missed; the first is the start
        self.confirmed_at = float("-inf")  # time.monotonic(): every change committed before has arrived

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call ``subscriber`` at every change, and with ``reset`` whenever changes may have been missed."""
        self._subscribers.append(subscriber)

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
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

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
            sent_at = await _within_deadline(connection, _LISTEN)
            self.listening = True
            self.resets += 1
            self._publish(ChangeKind.RESET, "")
            while True:
                await self._receive(connection, 0)  # what came with the answer, before it counts as confirmed
                self.confirmed_at = sent_at
                self._confirmed.set()
                await self._receive(connection, _HEARTBEAT)
                sent_at = await _within_deadline(connection, _HEARTBEAT_QUERY)

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
        async for notification in connection.notifies(timeout=seconds):
            kind, _, changed = notification.payload.partition(" ")
            self._publish(kind, changed)

    def _publish(self, kind: str, changed: str) -> None:
        for subscriber in self._subscribers:
            subscriber(kind, changed)


async def _within_deadline(connection: psycopg.AsyncConnection[Any], statement: sql.Composed) -> float:
    """Execute, and return the monotonic time of sending. Shuts the socket down when the peer does not answer in time.

    Cancelling instead would make psycopg send the same dead peer a cancel request, and wait for that as well.
    """
    sent_at = time.monotonic()
    timer = asyncio.get_running_loop().call_later(_DEADLINE, _shut, connection.fileno())
    try:
        await connection.execute(statement)
    finally:
        timer.cancel()
    return sent_at


def _shut(descriptor: int) -> None:
    with socket.socket(fileno=os.dup(descriptor)) as peer, contextlib.suppress(OSError):
        peer.shutdown(socket.SHUT_RDWR)
