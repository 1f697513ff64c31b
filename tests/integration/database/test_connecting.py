"""A connection that is abandoned while it opens leaves no socket behind."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tenants.database.sessions import Database
from tenants.errors import Unavailable
from tenants.principal import TenantRef
from tenants.settings import DatabaseSettings
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.relay import Relay, relayed
from tests.fixtures.tenants import new_database, open_database
from tests.integration.database.notes import BODY

pytestmark = pytest.mark.anyio

Opening = Callable[[str, TenantRef], Awaitable[object]]


async def _by_a_session(url: str, tenant: TenantRef) -> None:
    async with open_database(url) as database:
        await _enter(database, tenant)


async def _enter(database: Database, tenant: TenantRef) -> None:
    async with database.tenant(tenant) as session:
        await session.connection()


async def _by_a_statement(url: str, tenant: TenantRef) -> None:
    await new_database(DatabaseSettings(url=url)).statements(tenant).rows(BODY, {"id": 1})


@asynccontextmanager
async def _silent_server(url: str) -> AsyncIterator[Relay]:
    """A server that accepts connections and never answers, while no garbage is collected."""
    gc.disable()
    try:
        async with relayed(url) as relay:
            relay.mute_server = True
            yield relay
    finally:
        gc.enable()


async def _until_connections(relay: Relay, number: int) -> None:
    async with asyncio.timeout(5):
        while relay.connections != number:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("opening", [_by_a_session, _by_a_statement])
async def test_a_request_that_is_cancelled_while_it_connects_leaves_no_half_open_connection(
    opening: Opening, database_urls: DatabaseUrls, tenants: tuple[TenantRef, TenantRef]
) -> None:
    """IS3: the server would keep it for a minute, and wait for it before a database is dropped."""
    async with _silent_server(database_urls.gateway) as relay:
        tasks = [asyncio.ensure_future(opening(relay.url, tenants[0])) for _ in range(3)]
        await _until_connections(relay, len(tasks))
        for task in tasks:
            task.cancel()
        assert all(isinstance(each, BaseException) for each in await asyncio.gather(*tasks, return_exceptions=True))
        await _until_connections(relay, 0)


async def test_a_server_that_never_answers_is_abandoned(
    database_urls: DatabaseUrls, tenants: tuple[TenantRef, TenantRef]
) -> None:
    """OP3: within the deadline, and with nothing left open."""
    async with _silent_server(database_urls.gateway) as relay:
        with pytest.raises(Unavailable):
            await _by_a_statement(relay.url, tenants[0])
        await _until_connections(relay, 0)
