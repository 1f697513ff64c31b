"""Single statements under one tenant's role, on pipelined connections that serve many tenants."""

import asyncio

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import BigInteger, bindparam, func, select

from tenants.database.engine import CONNECTION_LIFE
from tenants.database.sessions import Database
from tenants.database.statements import prepare
from tenants.errors import Unavailable
from tenants.principal import TenantRef
from tenants.settings import DatabaseSettings
from tests.fixtures.backends import on_sleeping_backends
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.tenants import new_database
from tests.integration.database.notes import BODY, NOTES, SLOW

pytestmark = pytest.mark.anyio

_WHO = prepare(select(func.current_setting("role"), func.current_setting("search_path")))
_BACKEND = prepare(select(func.pg_backend_pid()))
_QUOTIENT = prepare(select(NOTES.c.cents / bindparam("divisor", type_=BigInteger)))


async def test_tenants_with_equal_ids_on_one_connection_each_see_their_own(
    database: Database, tenants: tuple[TenantRef, TenantRef]
) -> None:
    """IS4: the same prepared statement under two tenants is planned for each of them."""
    answers = await asyncio.gather(*(database.statements(tenants[n % 2]).rows(BODY, {"id": 1}) for n in range(200)))
    assert answers == [[("acme",)], [("globex",)]] * 100


async def test_a_failed_read_leaves_no_tenant_on_the_connection(
    database: Database, tenants: tuple[TenantRef, TenantRef]
) -> None:
    """IS2: an error in the group resets role and search_path, and the connection stays usable."""
    with pytest.raises(psycopg.errors.DivisionByZero):
        await database.statements(tenants[0]).rows(_QUOTIENT, {"divisor": 0})
    role, path = (await database.statements(tenants[1]).rows(_WHO, {}))[0]
    assert (role, path) == (tenants[1].role, f"{tenants[1].schema}, pg_temp")
    (connection,) = database._groups._idle
    assert connection._pg.transaction_status == psycopg.pq.TransactionStatus.IDLE


async def test_a_cancelled_read_never_answers_the_next_one(
    database: Database, tenants: tuple[TenantRef, TenantRef], database_urls: DatabaseUrls
) -> None:
    """IS3: the connection of a cancelled read is closed, so that no other request reads its late answer."""
    read = asyncio.create_task(database.statements(tenants[0]).rows(SLOW, {"seconds": 1}))
    await on_sleeping_backends(database_urls, "SELECT pid")
    read.cancel()
    with pytest.raises(asyncio.CancelledError):
        await read
    assert await database.statements(tenants[1]).rows(BODY, {"id": 1}) == [("globex",)]


async def test_a_read_that_hangs_is_an_outage_and_not_a_wait_without_end(
    database: Database, tenants: tuple[TenantRef, TenantRef]
) -> None:
    """OP3: the deadline of the transaction holds for reads too."""
    with pytest.raises(Unavailable):
        await database.statements(tenants[0]).rows(SLOW, {"seconds": 60})
    assert await database.statements(tenants[0]).rows(BODY, {"id": 1}) == [("acme",)]


async def test_a_killed_backend_costs_one_unavailable_and_no_restart(
    database: Database, tenants: tuple[TenantRef, TenantRef], database_urls: DatabaseUrls
) -> None:
    """IS3, OP3: a connection that died is replaced by the next read."""
    assert await database.statements(tenants[0]).rows(BODY, {"id": 1}) == [("acme",)]
    read = asyncio.create_task(database.statements(tenants[0]).rows(SLOW, {"seconds": 60}))
    await on_sleeping_backends(database_urls, "SELECT pg_terminate_backend(pid)")
    with pytest.raises(Unavailable):
        await read
    assert await database.statements(tenants[1]).rows(BODY, {"id": 1}) == [("globex",)]


async def test_a_migration_under_load_is_retried_on_a_fresh_plan(
    database: Database, tenants: tuple[TenantRef, TenantRef], database_urls: DatabaseUrls
) -> None:
    """IS4: "cached plan must not change result type" never reaches a caller."""
    assert await database.statements(tenants[0]).rows(BODY, {"id": 1}) == [("acme",)]
    with psycopg.connect(database_urls.owner, autocommit=True) as owner:
        table = sql.Identifier(tenants[0].schema, "notes")
        owner.execute(sql.SQL("ALTER TABLE {} ALTER body TYPE varchar(50)").format(table))
    assert await database.statements(tenants[0]).rows(BODY, {"id": 1}) == [("acme",)]
    assert await database.statements(tenants[1]).rows(BODY, {"id": 1}) == [("globex",)]


async def test_no_more_connections_than_the_pool_allows(
    database_urls: DatabaseUrls, tenants: tuple[TenantRef, TenantRef]
) -> None:
    """The pool bounds connections, and a read that finds none in time is an outage."""
    database = new_database(DatabaseSettings(url=database_urls.gateway, statement_connections=2, transaction_timeout=1))
    slow = [asyncio.create_task(database.statements(tenants[0]).rows(SLOW, {"seconds": 60})) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await database.statements(tenants[0]).rows(BODY, {"id": 1})
    assert all(isinstance(each, Unavailable) for each in await asyncio.gather(*slow, return_exceptions=True))
    await database.close()


async def test_a_tenant_keeps_its_connection(database_urls: DatabaseUrls, tenants: tuple[TenantRef, TenantRef]) -> None:
    """A backend caches the catalog of each tenant that it has served, and plans again for another."""
    database = new_database(DatabaseSettings(url=database_urls.gateway, statement_connections=2))
    acme, globex = [database.statements(tenant) for tenant in tenants]
    await asyncio.gather(acme.rows(SLOW, {"seconds": 0}), globex.rows(SLOW, {"seconds": 0}))  # each opens one
    seen = [[await work.rows(_BACKEND, {}) for work in (acme, globex)] for _ in range(10)]
    assert seen == [seen[0]] * 10
    assert seen[0][0] != seen[0][1]
    await database.close()


async def test_a_connection_that_has_grown_old_is_replaced(
    database: Database, tenants: tuple[TenantRef, TenantRef]
) -> None:
    """The catalog that a backend caches of the tenants it has served is freed in time."""
    work = database.statements(tenants[0])
    before = await work.rows(_BACKEND, {})
    (connection,) = database._groups._idle
    connection.opened_at -= CONNECTION_LIFE
    assert await work.rows(_BACKEND, {}) == before
    assert not connection.usable
    assert await work.rows(_BACKEND, {}) != before
