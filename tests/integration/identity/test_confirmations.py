"""Waiting until every worker applies a change, over listeners on a real PostgreSQL (ID14)."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psycopg
import pytest

from tenants.database.confirmations import BOUND, Confirmations
from tenants.database.engine import open_engine
from tenants.database.listener import TRUSTED_FOR, ChangeListener
from tenants.database.sessions import Database
from tenants.identifiers import new_id
from tenants.settings import DatabaseSettings
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.relay import relayed
from tests.integration.identity.test_listener import listening, until

pytestmark = pytest.mark.anyio
_QUICK = 1.0  # seconds: answered by the workers, not by the bound
_PUT = "INSERT INTO tenantry.gateway_workers (id, host, pid, beat, seen) VALUES (%s, 'elsewhere', 1, 1, 0)"
_BEAT = "UPDATE tenantry.gateway_workers SET beat = beat + 1 WHERE host = 'elsewhere'"


@pytest.fixture(autouse=True)
def begun_long_ago(database_urls: DatabaseUrls) -> None:
    """The rows began with the template of the database, which may be a second old."""
    _execute(database_urls, "UPDATE tenantry.gateway_worker_epochs SET began_at = began_at - interval '1 minute'")


@asynccontextmanager
async def confirming(url: str) -> AsyncIterator[Confirmations]:
    """A process that makes changes."""
    settings = DatabaseSettings(url=url)
    database = Database(open_engine(settings), settings)
    confirmations = Confirmations(database)
    try:
        yield confirmations
    finally:
        await confirmations.close()
        await database.close()


async def _seconds(confirmations: Confirmations) -> float:
    began = time.monotonic()
    await confirmations.confirm()
    return time.monotonic() - began


def _execute(urls: DatabaseUrls, statement: str, *values: object) -> list[Any]:
    with psycopg.connect(urls.superuser, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


def _workers(urls: DatabaseUrls) -> int:
    return len(_execute(urls, "SELECT id FROM tenantry.gateway_workers"))


async def test_every_listener_has_applied_the_change_when_it_is_confirmed(database_urls: DatabaseUrls) -> None:
    """ID14: also when its other caches are slow to load it; the answer comes at once, in one question."""
    loaded, changes = asyncio.Event(), 20
    async with AsyncExitStack() as stack:
        confirmations = await stack.enter_async_context(confirming(database_urls.gateway))
        heard = [(await stack.enter_async_context(listening(database_urls.gateway)))[1] for _ in range(4)]
        for number in range(changes):
            _execute(database_urls, "SELECT pg_notify('tenantry_changes', %s)", f"tenant {number}")
            assert await _seconds(confirmations) < _QUICK
            assert all(each.knows(("tenant", str(number))) for each in heard)
        assert (confirmations.questions, confirmations.unanswered) == (changes, 0)
        slow = ChangeListener(DatabaseSettings(url=database_urls.gateway))
        slow.settle_before_confirming(lambda: _set(loaded))
        await slow.start()
        stack.push_async_callback(slow.close)
        assert await slow.wait_until_listening(10)
        waiting = asyncio.create_task(_seconds(confirmations))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        loaded.set()
        assert await waiting < BOUND


async def _set(event: asyncio.Event) -> None:
    await event.wait()


async def test_a_thousand_changes_at_once_take_few_questions(database_urls: DatabaseUrls) -> None:
    """ID14: those made while a question is under way share the next one, and none is confirmed by an earlier one."""
    async with confirming(database_urls.gateway) as confirmations, listening(database_urls.gateway) as (_, heard):
        confirmed = 0

        async def change(number: int) -> None:
            nonlocal confirmed
            await asyncio.sleep(number % 10 / 200)
            async with connections:
                await connection.execute("SELECT pg_notify('tenantry_changes', %s)", (f"tenant {number}",))
            await confirmations.confirm()
            assert heard.knows(("tenant", str(number)))
            confirmed += 1

        connections = asyncio.Semaphore(1)
        async with await psycopg.AsyncConnection.connect(database_urls.owner, autocommit=True) as connection:
            await asyncio.gather(*(change(number) for number in range(1_000)))
        assert confirmed == sum(confirmations.waits) == 1_000
        assert confirmations.questions < 500


async def test_a_worker_that_was_killed_makes_one_change_wait_for_the_bound(database_urls: DatabaseUrls) -> None:
    """ID14: its row is removed then. Of one that has a heartbeat without an answer the row stays."""
    async with confirming(database_urls.gateway) as confirmations, listening(database_urls.gateway):
        _execute(database_urls, _PUT, new_id())
        assert BOUND <= await _seconds(confirmations) < 2
        await until(lambda: confirmations.unanswered == 1)
        assert await _seconds(confirmations) < _QUICK
        _execute(database_urls, _PUT, new_id())
        waiting = asyncio.create_task(_seconds(confirmations))
        await until(lambda: confirmations.questions == 3)
        await asyncio.sleep(0.1)
        _execute(database_urls, _BEAT)
        assert BOUND <= await waiting < 2
        await until(lambda: confirmations.unanswered == 2)
        assert _workers(database_urls) == 2


async def test_a_worker_that_stops_is_not_waited_for_and_trusts_nothing(database_urls: DatabaseUrls) -> None:
    """ID14, OP1: its row is gone when it has stopped, and so is its trust."""
    async with confirming(database_urls.gateway) as confirmations:
        async with listening(database_urls.gateway) as (listener, _):
            assert _workers(database_urls) == 1
        assert listener.confirmed_at == float("-inf")
        assert _workers(database_urls) == 0
        assert await _seconds(confirmations) < _QUICK


async def test_after_a_crash_of_the_server_nobody_relies_on_the_rows_for_a_while(database_urls: DatabaseUrls) -> None:
    """ID14: they are lost with those of workers that still trust their caches. A later worker begins them again."""
    async with confirming(database_urls.gateway) as confirmations:
        _execute(database_urls, "TRUNCATE tenantry.gateway_workers, tenantry.gateway_worker_epochs")
        assert BOUND <= await _seconds(confirmations) < 2
        async with listening(database_urls.gateway):
            began = time.monotonic()
            assert await _seconds(confirmations) >= BOUND
            await asyncio.sleep(max(began + BOUND + 0.1 - time.monotonic(), 0))
            assert await _seconds(confirmations) < _QUICK


async def test_without_the_database_a_change_is_confirmed_after_the_bound(database_urls: DatabaseUrls) -> None:
    """ID14: it is committed, and by then no worker trusts what was loaded before. Silence, and a closed connection."""
    async with relayed(database_urls.gateway) as relay, confirming(relay.url) as confirmations:
        assert await _seconds(confirmations) < _QUICK
        relay.mute_server = True
        silent = await asyncio.gather(*(_seconds(confirmations) for _ in range(10)))
        assert BOUND <= min(silent) <= max(silent) < 2
        relay.mute_server, relay.drop_requests = False, True
        assert BOUND <= await _seconds(confirmations) < 2


async def test_a_question_that_a_listener_has_missed_is_answered_after_it_is_back(database_urls: DatabaseUrls) -> None:
    """ID14: it was asked while the connection was down; its first heartbeat tells, and the caches begin anew."""
    async with confirming(database_urls.gateway) as confirmations, listening(database_urls.gateway) as (_, heard):
        for resets in range(2, 5):
            _execute(
                database_urls,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = %s AND usename = 'tenantry_gateway' AND query ILIKE '%%gateway_workers%%'",
                database_urls.name,
            )
            assert await _seconds(confirmations) < TRUSTED_FOR
            await until(lambda resets=resets: heard.changes.count(("reset", "")) == resets)  # type: ignore[misc]
