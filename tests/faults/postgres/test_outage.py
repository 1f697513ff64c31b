"""OP3: PostgreSQL stops, hangs, crashes and returns under a process that keeps running.

Every wait ends within 5 s in Unavailable, which is a 503; the first transaction after its return succeeds within 2 s.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import psycopg
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, select, text

from gateway.development.postgres import LocalPostgres
from migrations.runner import migrate_control, migrate_tenants
from tenants.database.cluster import set_up_cluster
from tenants.database.sessions import Database
from tenants.database.statements import prepare
from tenants.errors import Unavailable
from tenants.principal import TenantRef
from tests.fixtures.servers import PostgresFactory
from tests.fixtures.tenants import make_tenant, open_database

pytestmark = pytest.mark.anyio

_LONGEST = 5.0  # seconds of any one wait
_RECOVERY = 2.0  # seconds from the server's return to the first success
_ONE = text("SELECT 1")
_SLOW = text("SELECT pg_sleep(1)")
_NUMBERS = Table("pg_amop", MetaData(), Column("amoplefttype", Integer), schema="pg_catalog")  # never asked for rows
_HOT = prepare(select(_NUMBERS.c.amoplefttype).limit(0))


@dataclass(frozen=True, slots=True)
class Installation:
    """A server of the test's own, and a process's transactions on it."""

    server: LocalPostgres
    superuser: str
    database: Database
    tenant: TenantRef

    async def in_tenant(self) -> None:
        async with self.database.tenant(self.tenant) as session:
            await session.execute(_ONE)

    async def in_control(self) -> None:
        async with self.database.control() as session:
            await session.execute(text("SELECT count(*) FROM tenants"))

    async def slowly(self) -> None:
        async with self.database.tenant(self.tenant) as session:
            await session.execute(_SLOW)

    async def hot_read(self) -> None:
        await self.database.statements(self.tenant).rows(_HOT, {})

    async def use(self) -> None:
        """Fill both pools with connections that work."""
        await asyncio.gather(self.in_tenant(), self.in_control(), self.in_tenant(), self.in_control())


@pytest.fixture
async def installation(start_postgres: PostgresFactory) -> AsyncIterator[Installation]:
    server = start_postgres()
    urls = set_up_cluster(server.superuser_url, "app", owner_password="owner", gateway_password="gateway")
    migrate_control(urls.owner)
    migrate_tenants(urls.owner)
    async with open_database(urls.gateway, pool_size=4) as database:
        tenant = await make_tenant(database, "acme")
        superuser = server.superuser_url.rpartition("/")[0] + "/app"
        with psycopg.connect(superuser) as connection:  # something that a tenant may read without having tables
            connection.execute(f"GRANT SELECT ON pg_catalog.pg_amop TO {tenant.role}".encode())
        yield Installation(server, superuser, database, tenant)
        server.resume()


async def _unavailable(work: Callable[[], Awaitable[None]]) -> float:
    """Seconds until Unavailable is raised; anything else fails the test."""
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await work()
    return time.monotonic() - began


async def _recovery(*works: Callable[[], Awaitable[None]]) -> float:
    """Seconds until each of them has succeeded once."""
    began = time.monotonic()
    for work in works:
        async with asyncio.timeout(_LONGEST):
            while not await _succeeds(work):  # noqa: ASYNC110 - no event tells of a server's return
                await asyncio.sleep(0.02)
    return time.monotonic() - began


async def _succeeds(work: Callable[[], Awaitable[None]]) -> bool:
    try:
        await work()
    except Unavailable:
        return False
    return True


async def test_a_stopped_server_is_unavailable_at_once_and_used_again_after_its_return(
    installation: Installation,
) -> None:
    """OP3: a refused connection fails without a wait."""
    await installation.use()
    await installation.hot_read()
    await asyncio.to_thread(installation.server.stop)
    for work in (installation.in_tenant, installation.in_control, installation.hot_read) * 2:
        assert await _unavailable(work) < 1
    await asyncio.to_thread(installation.server.start)
    assert await _recovery(installation.in_tenant, installation.in_control, installation.hot_read) < _RECOVERY


async def test_a_server_that_hangs_holds_no_request_longer_than_five_seconds(installation: Installation) -> None:
    """OP3: in the middle of a statement, on a pooled connection, waiting for one, and while connecting."""
    await installation.use()
    await installation.hot_read()
    midway = [asyncio.create_task(_unavailable(installation.slowly)) for _ in range(2)]
    await asyncio.sleep(0.2)
    installation.server.pause()
    pooled = [
        asyncio.create_task(_unavailable(work))
        for work in (installation.in_tenant, installation.in_control, installation.hot_read)
    ]
    waiting = [asyncio.create_task(_unavailable(installation.in_tenant)) for _ in range(6)]
    assert max(await asyncio.gather(*midway, *pooled, *waiting)) < _LONGEST
    assert (
        max(await asyncio.gather(*(_unavailable(installation.in_control) for _ in range(3)))) < _LONGEST
    )  # connecting
    installation.server.resume()
    assert await _recovery(installation.in_tenant, installation.in_control, installation.hot_read) < _RECOVERY


async def test_a_restart_between_two_requests_costs_neither(installation: Installation) -> None:
    """OP3: the pool checks a connection before it uses it."""
    await installation.use()
    await asyncio.to_thread(installation.server.stop)
    await asyncio.to_thread(installation.server.start)
    await installation.use()


async def test_a_crash_costs_what_was_under_way_and_nothing_after(installation: Installation) -> None:
    """OP2, OP3: the postmaster is killed in the middle of a statement."""
    await installation.use()
    midway = asyncio.create_task(_unavailable(installation.slowly))
    await asyncio.sleep(0.2)
    await asyncio.to_thread(installation.server.kill)
    assert await midway < _LONGEST
    await asyncio.to_thread(installation.server.start)
    assert await _recovery(installation.in_tenant, installation.in_control) < _RECOVERY


async def test_a_server_without_a_connection_to_spare_is_unavailable(installation: Installation) -> None:
    """Too many connections is an outage, and no fault of the caller's (SQLSTATE 53300)."""
    await installation.database.close()
    with psycopg.connect(installation.superuser, autocommit=True) as superuser:
        superuser.execute("ALTER ROLE tenantry_gateway CONNECTION LIMIT 0")
        assert await _unavailable(installation.in_tenant) < 1
        superuser.execute("ALTER ROLE tenantry_gateway CONNECTION LIMIT -1")
    await installation.in_tenant()


async def test_a_statement_that_takes_too_long_is_ended_by_the_server(installation: Installation) -> None:
    """DA7: statement_timeout and idle_in_transaction_session_timeout are on for every connection of ours."""
    async with installation.database.tenant(installation.tenant) as session:
        for setting in ("statement_timeout", "idle_in_transaction_session_timeout", "lock_timeout"):
            limit = (await session.execute(text(f"SELECT current_setting('{setting}')"))).scalar_one()
            assert limit == "4s", setting
