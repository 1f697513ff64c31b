"""The connection of a session: one statement at a time, nothing prepared, and abandoned soon when it hangs."""

import asyncio
import select
import traceback
from typing import Any, Self, TypeVar

import psycopg
from psycopg import pq, waiting
from psycopg.abc import PQGen
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, Pool, PoolProxiedConnection

from tenants.settings import DatabaseSettings

Result = TypeVar("Result")

_ABANDON_WITHIN = 0.5  # seconds from the cancellation of a statement to the end of its connection, at most
_CANCEL_WITHIN = 0.4  # seconds of these for the server to answer
_INTERVAL = 0.1  # seconds; psycopg's own


def work_deadline(settings: DatabaseSettings) -> float:
    """Seconds after which work is abandoned, so that this too ends within ``transaction_timeout`` (OP3)."""
    return max(settings.transaction_timeout - _ABANDON_WITHIN, settings.transaction_timeout / 2)


class ExtendedCursor(psycopg.AsyncCursor[Any]):
    """Sends even a statement without parameters by the extended protocol, which takes one statement and no second.

    psycopg would send it by the simple protocol, where ``SELECT …; RESET ROLE`` is two
    (docs/decisions/0006-sessions-do-not-prepare-statements.md).
    """

    def _execute_send(self, *arguments: Any, **options: Any) -> None:
        super()._execute_send(*arguments, **(options | {"force_extended": True}))


class GatewayConnection(psycopg.AsyncConnection[Any]):
    """Closes its socket when it is cancelled while it opens."""

    @classmethod
    async def connect(cls, *arguments: Any, **options: Any) -> Self:
        """As psycopg's own, whose frames hold the half-open socket.

        The traceback of what was raised keeps those frames, at least until garbage is collected, and the server would
        wait a minute for the rest of the handshake.
        """
        try:
            return await super().connect(*arguments, **options)
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)
            raise


class SessionConnection(GatewayConnection):
    """Closes its socket when a cancelled statement does not end soon."""

    async def wait(self, gen: PQGen[Result], *arguments: Any, **options: Any) -> Result:
        """As psycopg's own, which waits 10 s more for a hanging server after the caller has been cancelled."""
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, *arguments, **({"interval": _INTERVAL} | options))
        except asyncio.CancelledError:
            if self.pgconn.transaction_status == pq.TransactionStatus.ACTIVE:
                await self._abandon(gen)
            raise

    async def _abandon(self, gen: PQGen[Result]) -> None:
        try:
            async with asyncio.timeout(_CANCEL_WITHIN):
                await self.cancel_safe(timeout=_CANCEL_WITHIN)
                await waiting.wait_async(gen, self.pgconn.socket, interval=_INTERVAL)
        except psycopg.errors.QueryCanceled:
            return
        except BaseException as error:  # also a second cancellation: nothing may read the rest of the answer
            self.pgconn.finish()
            if not isinstance(error, TimeoutError | psycopg.Error):
                raise


def discard_dead_connections(pool: Pool) -> None:
    """Make the pool skip connections that the server has closed, so that a restart fails no request.

    Checks the socket, without a round trip: the server sends an idle connection nothing but its end.
    """
    event.listen(pool, "checkout", _refuse_if_readable)


def _refuse_if_readable(
    connection: DBAPIConnection, _record: ConnectionPoolEntry, _proxy: PoolProxiedConnection
) -> None:
    driver: psycopg.AsyncConnection[Any] = connection.driver_connection
    if driver.closed or _readable(driver.pgconn.socket):
        raise DisconnectionError


def _readable(socket: int) -> bool:
    poll = select.poll()  # select.select takes no descriptor above 1023
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(0))
