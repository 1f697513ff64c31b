"""Reads of the control tables, one statement and one round trip each: what looking up a credential needs.

They have connections of their own, so that a change is in force in time (ID4) however many tenants' statements wait for
the pool; and they cost 0.2 ms of CPU where a ControlSession costs 1.5.
"""

from collections.abc import Mapping
from typing import Any

from psycopg import errors

from tenants.database.names import CONTROL_ROLE, CONTROL_SCHEMA, search_path
from tenants.database.outage import DATABASE_ERRORS, raise_outage
from tenants.database.pipeline import PipelineConnection
from tenants.database.reads import PreparedRead
from tenants.settings import DatabaseSettings

_SCHEMA, _ROLE = search_path(CONTROL_SCHEMA).encode(), CONTROL_ROLE.encode()
# A plan that was made before a migration of the control tables, or that the server has dropped.
_STALE_PLAN = (errors.FeatureNotSupported, errors.InvalidSqlStatementName)


class ControlReads:
    """As many connections as there are reads at once: whoever reads is to bound that, and the time it takes."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._idle: list[PipelineConnection] = []

    async def rows(self, read: PreparedRead, given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run the read as the control role. Raises Unavailable when PostgreSQL is down.

        A caller that is cancelled, as by its own deadline, takes the connection with it.
        """
        try:
            return await self._rows(read, read.values(dict(given)))
        except DATABASE_ERRORS as error:
            raise_outage(error)
            raise

    async def close(self) -> None:
        """Close every idle connection."""
        while self._idle:
            await self._idle.pop().close()

    async def _rows(self, read: PreparedRead, values: list[Any]) -> list[tuple[Any, ...]]:
        connection = self._take() or await PipelineConnection.open(self._settings)
        try:
            return await connection.run(_SCHEMA, _ROLE, read.statement, values)
        except _STALE_PLAN:
            connection.forget(read.statement)
            return await connection.run(_SCHEMA, _ROLE, read.statement, values)
        finally:
            if connection.usable:
                self._idle.append(connection)

    def _take(self) -> PipelineConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None
