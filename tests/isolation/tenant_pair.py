"""The two tenants of the isolation tests, and what must never change for them."""

import asyncio
from dataclasses import dataclass

import psycopg
from sqlalchemy import text

from tenants.database.pipeline import PipelineConnection
from tenants.database.sessions import Database
from tenants.principal import TenantRef
from tests.fixtures.databases import DatabaseUrls

ROWS = 5  # notes of each tenant; the body of each is the tenant's slug

_IDENTITY = text(
    "SELECT current_user, session_user, current_setting('role'), current_setting('search_path'), pg_backend_pid()"
)


@dataclass(frozen=True, slots=True)
class ConnectionIdentity:
    """The role and search_path under which a connection would run its next statement."""

    current_user: str
    session_user: str
    role: str
    search_path: str
    backend: int

    @property
    def is_clean(self) -> bool:
        """True when no tenant and no control role is left on the connection (IS2)."""
        return (self.current_user, self.role, self.search_path) == ("tenantry_gateway", "none", "")


@dataclass(frozen=True, slots=True)
class TenantPair:
    urls: DatabaseUrls
    database: Database
    acme: TenantRef
    globex: TenantRef

    async def session_connection(self) -> ConnectionIdentity:
        """A connection of the sessions' pool, looked at outside any transaction of ours."""
        async with self.database.engine.connect() as connection:
            return ConnectionIdentity(*(await connection.execute(_IDENTITY)).one())

    async def pipeline_connections(self) -> list[ConnectionIdentity]:
        """The idle pipelined connections, looked at outside any group of ours."""
        return [await _identity(connection) for connection in self.database._groups._idle]

    def everything(self) -> dict[str, list[tuple[object, ...]]]:
        """All rows of the victim and of the control schema, as the superuser sees them."""
        with psycopg.connect(self.urls.superuser) as connection:
            tables = connection.execute(
                "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r'"
                " AND relnamespace IN (to_regnamespace(%s), 'tenantry'::regnamespace) ORDER BY 1",
                (self.globex.schema,),
            ).fetchall()
            return {table: connection.execute(f"TABLE {table}".encode()).fetchall() for (table,) in tables}


async def _identity(connection: PipelineConnection) -> ConnectionIdentity:
    connection._pg.send_query_params(str(_IDENTITY).encode(), None)
    (answer,) = await connection._round_trip(asyncio.get_running_loop().time() + 5)
    current, session, role, path, backend = [(answer.get_value(0, place) or b"").decode() for place in range(5)]
    return ConnectionIdentity(current, session, role, path, int(backend))
