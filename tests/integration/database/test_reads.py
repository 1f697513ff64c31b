"""Hot reads: one round trip under one tenant's role, on pipelined connections that serve many tenants."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text, bindparam, func, select

from tenants.database.names import tenant_schema
from tenants.database.reads import TenantReads, prepare_read
from tenants.errors import Unavailable
from tenants.identifiers import TenantId, new_id
from tenants.principal import TenantRef, TenantStatus
from tenants.settings import DatabaseSettings
from tests.fixtures.databases import DatabaseUrls

pytestmark = pytest.mark.anyio

_notes = Table("notes", MetaData(), Column("id", Integer), Column("body", Text), Column("cents", BigInteger))
_ONE = prepare_read(select(_notes.c.body).where(_notes.c.id == bindparam("id")).limit(5))
_WHO = prepare_read(select(func.current_setting("role"), func.current_setting("search_path")))
_SLOW = prepare_read(select(func.pg_sleep(bindparam("seconds", type_=Integer))))
_QUOTIENT = prepare_read(select(_notes.c.cents / bindparam("divisor", type_=BigInteger)))


@pytest.fixture
def tenants(database_urls: DatabaseUrls) -> tuple[TenantRef, TenantRef]:
    """Two tenants whose notes have the same ids."""
    with psycopg.connect(database_urls.owner, autocommit=True) as owner:
        return _make_tenant(owner, "acme"), _make_tenant(owner, "globex")


def _make_tenant(owner: psycopg.Connection, slug: str) -> TenantRef:
    tenant = TenantId(new_id())
    name = tenant_schema(tenant)
    for statement in (
        "CREATE ROLE {name}",
        "GRANT {name} TO tenantry_gateway",
        "CREATE SCHEMA {name}",
        "GRANT USAGE ON SCHEMA {name} TO {name}",
        "CREATE TABLE {name}.notes (id int, body text, cents bigint)",
        "INSERT INTO {name}.notes VALUES (1, {slug}, 100)",
        "GRANT SELECT ON {name}.notes TO {name}",
    ):
        owner.execute(sql.SQL(statement).format(name=sql.Identifier(name), slug=slug))
    return TenantRef(tenant, slug, TenantStatus.ACTIVE, name, name, "free")


@pytest.fixture
async def reads(database_urls: DatabaseUrls) -> AsyncIterator[TenantReads]:
    """One connection, so that every read of a test shares it."""
    opened = TenantReads(DatabaseSettings(url=database_urls.gateway, pool_size=1, transaction_timeout=2))
    yield opened
    await opened.close()


async def test_tenants_with_equal_ids_on_one_connection_each_see_their_own(
    reads: TenantReads, tenants: tuple[TenantRef, TenantRef]
) -> None:
    """IS4: the same prepared statement under two tenants is planned for each of them."""
    answers = await asyncio.gather(*(reads.rows(tenants[n % 2], _ONE, {"id": 1}) for n in range(200)))
    assert answers == [[("acme",)], [("globex",)]] * 100


async def test_a_failed_read_leaves_no_tenant_behind(reads: TenantReads, tenants: tuple[TenantRef, TenantRef]) -> None:
    """IS2: an error inside the group gives role and search_path back, and the connection goes on."""
    with pytest.raises(psycopg.errors.DivisionByZero):
        await reads.rows(tenants[0], _QUOTIENT, {"divisor": 0})
    role, path = (await reads.rows(tenants[1], _WHO, {}))[0]
    assert (role, path) == (tenants[1].role, f"{tenants[1].schema}, pg_temp")
    (connection,) = reads._idle
    assert connection._pg.transaction_status == psycopg.pq.TransactionStatus.IDLE


async def test_a_cancelled_read_never_answers_the_next_one(
    reads: TenantReads, tenants: tuple[TenantRef, TenantRef], database_urls: DatabaseUrls
) -> None:
    """IS3: the connection of a cancelled read is closed, so its late answer meets nobody."""
    read = asyncio.create_task(reads.rows(tenants[0], _SLOW, {"seconds": 1}))
    await asyncio.to_thread(_for_sleepers, database_urls, "SELECT pid")
    read.cancel()
    with pytest.raises(asyncio.CancelledError):
        await read
    assert await reads.rows(tenants[1], _ONE, {"id": 1}) == [("globex",)]


async def test_a_read_that_hangs_is_an_outage_and_not_a_wait_without_end(
    reads: TenantReads, tenants: tuple[TenantRef, TenantRef]
) -> None:
    """OP3: the deadline of the transaction holds for reads too."""
    with pytest.raises(Unavailable):
        await reads.rows(tenants[0], _SLOW, {"seconds": 60})
    assert await reads.rows(tenants[0], _ONE, {"id": 1}) == [("acme",)]


async def test_a_killed_backend_costs_one_unavailable_and_no_restart(
    reads: TenantReads, tenants: tuple[TenantRef, TenantRef], database_urls: DatabaseUrls
) -> None:
    """IS3, OP3: a connection that died is replaced by the next read."""
    assert await reads.rows(tenants[0], _ONE, {"id": 1}) == [("acme",)]
    read = asyncio.create_task(reads.rows(tenants[0], _SLOW, {"seconds": 60}))
    await asyncio.to_thread(_for_sleepers, database_urls, "SELECT pg_terminate_backend(pid)")
    with pytest.raises(Unavailable):
        await read
    assert await reads.rows(tenants[1], _ONE, {"id": 1}) == [("globex",)]


def _for_sleepers(urls: DatabaseUrls, select: str) -> None:
    """Ask it of every backend that is asleep in a read, as soon as there is one."""
    query = f"{select} FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    with psycopg.connect(urls.superuser, autocommit=True) as superuser:
        while not superuser.execute(query.encode()).fetchall():
            pass


async def test_a_migration_under_load_is_retried_on_a_fresh_plan(
    reads: TenantReads, tenants: tuple[TenantRef, TenantRef], database_urls: DatabaseUrls
) -> None:
    """IS4: "cached plan must not change result type" never reaches a caller."""
    assert await reads.rows(tenants[0], _ONE, {"id": 1}) == [("acme",)]
    with psycopg.connect(database_urls.owner, autocommit=True) as owner:
        table = sql.Identifier(tenants[0].schema, "notes")
        owner.execute(sql.SQL("ALTER TABLE {} ALTER body TYPE varchar(50)").format(table))
    assert await reads.rows(tenants[0], _ONE, {"id": 1}) == [("acme",)]
    assert await reads.rows(tenants[1], _ONE, {"id": 1}) == [("globex",)]


async def test_no_more_connections_than_the_pool_allows(
    database_urls: DatabaseUrls, tenants: tuple[TenantRef, TenantRef]
) -> None:
    """The pool bounds connections, and a read that finds none in time is an outage."""
    reads = TenantReads(DatabaseSettings(url=database_urls.gateway, pool_size=2, transaction_timeout=1))
    slow = [asyncio.create_task(reads.rows(tenants[0], _SLOW, {"seconds": 60})) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await reads.rows(tenants[0], _ONE, {"id": 1})
    assert all(isinstance(each, Unavailable) for each in await asyncio.gather(*slow, return_exceptions=True))
    await reads.close()
