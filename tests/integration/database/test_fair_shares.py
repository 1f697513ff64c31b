"""IS10: one tenant's slow work delays neither another tenant's nor the system's, on either kind of connection."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import literal_column, select, text

from tenants.database.sessions import Database
from tenants.database.statements import prepare
from tenants.errors import Unavailable
from tenants.principal import TenantRef
from tenants.settings import DatabaseSettings
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.tenants import new_database, open_database
from tests.integration.database.notes import BODY, SLOW

pytestmark = pytest.mark.anyio

Tenants = tuple[TenantRef, TenantRef]
Work = Callable[[], Awaitable[object]]

_SLEEP = text("SELECT pg_sleep(1)")
_ONE = text("SELECT 1")
_CONTROL_ONE = prepare(select(literal_column("1")))
_FLOOD = 30


@asynccontextmanager
async def _flood(work: Work) -> AsyncIterator[None]:
    """Thirty at once, each of which takes a second, for as long as the block runs."""
    tasks = [asyncio.ensure_future(work()) for _ in range(_FLOOD)]
    await asyncio.sleep(0.2)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _seconds(work: Work, times: int = 20) -> float:
    """Of the slowest of so many, one after another."""
    slowest = 0.0
    for _ in range(times):
        began = time.monotonic()
        await work()
        slowest = max(slowest, time.monotonic() - began)
    return slowest


async def test_a_flood_of_slow_statements_delays_no_other_tenant(database_urls: DatabaseUrls, tenants: Tenants) -> None:
    """IS10: a tenant that has no connection gets one, however large the flood."""
    database = new_database(DatabaseSettings(url=database_urls.gateway))
    acme, globex = [database.statements(tenant) for tenant in tenants]
    async with _flood(lambda: acme.rows(SLOW, {"seconds": 1})):
        assert await _seconds(lambda: globex.rows(BODY, {"id": 1})) < 0.5
    await database.close()


async def test_a_flood_of_slow_transactions_delays_neither_another_tenant_nor_the_systems_work(
    database_urls: DatabaseUrls, tenants: Tenants
) -> None:
    """IS10: also when a tenant's requests work in the control schema."""
    async with open_database(database_urls.gateway) as database:
        for slow in (lambda: _in_tenant(database, tenants[0]), lambda: _for_tenant(database, tenants[0])):
            async with _flood(slow):
                assert await _seconds(lambda: _at_once(database, tenants[1])) < 0.5


async def _in_tenant(database: Database, tenant: TenantRef) -> None:
    async with database.tenant(tenant) as session:
        await session.execute(_SLEEP)


async def _for_tenant(database: Database, tenant: TenantRef) -> None:
    async with database.control(tenant) as session:
        await session.execute(_SLEEP)


async def _at_once(database: Database, tenant: TenantRef) -> None:
    async with database.tenant(tenant) as session:
        await session.execute(_ONE)
    async with database.control() as control, database.tenant(tenant) as session:  # both at the same time
        await control.execute(_ONE)
        await session.execute(_ONE)


async def test_a_queue_that_is_too_long_is_refused_at_once_and_others_are_served(
    database_urls: DatabaseUrls, tenants: Tenants
) -> None:
    """IS10: 503 for the flood alone, before it has cost the others anything."""
    database = new_database(
        DatabaseSettings(url=database_urls.gateway, statement_connections=3, longest_queue=5, acquire_timeout=0.5)
    )
    acme, globex = [database.statements(tenant) for tenant in tenants]
    flood = [asyncio.ensure_future(acme.rows(SLOW, {"seconds": 1})) for _ in range(_FLOOD)]
    await asyncio.sleep(0)
    assert await globex.rows(BODY, {"id": 1}) == [("globex",)]
    ended = await asyncio.gather(*flood, return_exceptions=True)
    assert sum(isinstance(each, Unavailable) for each in ended) >= _FLOOD - 2 - 5
    assert [each for each in ended if not isinstance(each, Unavailable | list)] == []
    await database.close()


async def test_a_flood_of_groups_leaves_connections_for_look_ups(database_urls: DatabaseUrls, tenants: Tenants) -> None:
    """IS10: both classes share one pool, and a credential is looked up beside any number of tenants' statements."""
    database = new_database(DatabaseSettings(url=database_urls.gateway, statement_connections=2, lookup_connections=2))
    floods = [database.statements(tenant) for tenant in tenants]
    async with (
        _flood(lambda: floods[0].rows(SLOW, {"seconds": 1})),
        _flood(lambda: floods[1].rows(SLOW, {"seconds": 1})),
    ):
        assert database.use["statements"].in_use <= 2
        assert await _seconds(lambda: database.control_reads.rows(_CONTROL_ONE, {})) < 0.5
    await database.close()
