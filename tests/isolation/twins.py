"""The two tenants of the isolation tests, and what must never be seen to happen to them."""

import asyncio
from dataclasses import dataclass

import psycopg
from sqlalchemy import text

from tenants.database.pipeline import PipelineConnection
from tenants.database.sessions import Database
from tenants.database.statements import Statements
from tenants.principal import TenantRef
from tests.fixtures.databases import DatabaseUrls

ROWS = 5  # notes of each tenant; the body of each is the tenant's slug

_WHO = text(
    "SELECT current_user, session_user, current_setting('role'), current_setting('search_path'), pg_backend_pid()"
)


@dataclass(frozen=True, slots=True)
class Standing:
    """As whom a connection would run its next statement."""

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
class Twins:
    urls: DatabaseUrls
    database: Database
    statements: Statements
    acme: TenantRef
    globex: TenantRef

    async def pooled(self) -> Standing:
        """A connection of the pool as it lies there, with nothing set by a session of ours."""
        async with self.database.engine.connect() as connection:
            return Standing(*(await connection.execute(_WHO)).one())

    async def piped(self) -> list[Standing]:
        """The connections of single statements as they lie there, asked outside of any group of ours."""
        return [await _standing(connection) for connection in self.statements._idle]

    def everything(self) -> dict[str, list[tuple[object, ...]]]:
        """All rows of the victim and of the control schema, as the superuser sees them."""
        with psycopg.connect(self.urls.superuser) as connection:
            tables = connection.execute(
                "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r'"
                " AND relnamespace IN (to_regnamespace(%s), 'tenantry'::regnamespace) ORDER BY 1",
                (self.globex.schema,),
            ).fetchall()
            return {table: connection.execute(f"TABLE {table}".encode()).fetchall() for (table,) in tables}


async def _standing(connection: PipelineConnection) -> Standing:
    connection._pg.send_query_params(str(_WHO).encode(), None)
    (answer,) = await connection._round_trip(asyncio.get_running_loop().time() + 5)
    current, session, role, path, backend = [(answer.get_value(0, place) or b"").decode() for place in range(5)]
    return Standing(current, session, role, path, int(backend))
