"""The change listener on a real PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import psycopg
import pytest

from gateway.development.postgres import LocalPostgres
from migrations.runner import migrate_control
from tenants.database.listener import TRUSTED_FOR, ChangeListener
from tenants.settings import DatabaseSettings
from tests.fixtures.databases import DatabaseUrls, prepare
from tests.fixtures.servers import PostgresFactory

pytestmark = pytest.mark.anyio


class Recorder:
    """Records notifications and their times."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str]] = []

    def __call__(self, kind: str, changed: str) -> None:
        self.changes.append((kind, changed))

    def knows(self, change: tuple[str, str]) -> bool:
        return change in self.changes


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[tuple[ChangeListener, Recorder]]:
    """A listener that is connected."""
    listener, heard = ChangeListener(DatabaseSettings(url=url)), Recorder()
    listener.subscribe(heard)
    await listener.start()
    try:
        assert await listener.wait_until_listening(10)
        yield listener, heard
    finally:
        await listener.close()


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> float:
    """Seconds until the condition is true. Fails on timeout."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.002)
    return time.monotonic() - began


def _with_control(server: LocalPostgres) -> str:
    """The gateway's URL of a database with the control schema, on a server of the test's own."""
    urls = prepare(server.superuser_url, "listened")
    migrate_control(urls.owner)
    return urls.gateway


async def _notify(url: str, *payloads: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for payload in payloads:
            await connection.execute("SELECT pg_notify('tenantry_changes', %s)", (payload,))


async def test_changes_arrive_in_order_after_one_reset(database_urls: DatabaseUrls) -> None:
    """ID4: the gateway's role may LISTEN; everything before counts as a reset."""
    async with listening(database_urls.gateway) as (_, heard):
        await _notify(database_urls.owner, "tenant 1", "api_key ab", "plan free")
        await until(lambda: len(heard.changes) == 4)
        assert heard.changes == [("reset", ""), ("tenant", "1"), ("api_key", "ab"), ("plan", "free")]


async def test_a_change_arrives_within_milliseconds(database_urls: DatabaseUrls) -> None:
    """ID4: not only at the next heartbeat. The bound guards the order of magnitude only."""
    async with listening(database_urls.gateway) as (_, heard):
        seconds = []
        for number in range(20):
            await _notify(database_urls.owner, f"tenant {number}")
            seconds.append(await until(partial(heard.knows, ("tenant", str(number)))))
        assert sorted(seconds)[10] < 0.25


async def test_the_channel_is_confirmed_while_it_is_trusted(database_urls: DatabaseUrls) -> None:
    """ID4: no notification means no change."""
    async with listening(database_urls.gateway) as (listener, _):
        first = listener.confirmed_at
        await until(lambda: listener.confirmed_at > first, 3)
        assert time.monotonic() - listener.confirmed_at < TRUSTED_FOR


async def test_a_killed_connection_is_replaced_and_reported_as_a_reset(database_urls: DatabaseUrls) -> None:
    """ID4: pg_terminate_backend on the listener; changes in between are unknown."""
    async with listening(database_urls.gateway) as (listener, heard):
        with psycopg.connect(database_urls.superuser, autocommit=True) as admin:
            killed = admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND query ILIKE '%%listen%%'"
                " AND pid <> pg_backend_pid() OR datname = %s AND usename = 'tenantry_gateway'",
                (database_urls.name, database_urls.name),
            )
            assert killed.rowcount == 1
        await until(lambda: heard.changes.count(("reset", "")) == 2)
        before = listener.confirmed_at
        await _notify(database_urls.owner, "tenant 1")
        await until(lambda: heard.changes[-1] == ("tenant", "1"))
        await until(lambda: listener.confirmed_at > before, 3)


async def test_a_failing_subscriber_causes_a_reset_and_does_not_stop_the_listener(database_urls: DatabaseUrls) -> None:
    """ID4: an internal error does not stop the notifications."""
    async with listening(database_urls.gateway) as (listener, heard):
        failures = [ValueError("a fault of ours")]

        def fail_once(kind: str, _changed: str) -> None:
            if failures and kind == "tenant":
                raise failures.pop()

        listener.subscribe(fail_once)
        await _notify(database_urls.owner, "tenant 1")
        await until(lambda: heard.changes.count(("reset", "")) == 2)


async def test_an_unresponsive_server_is_disconnected_and_connected_again(start_postgres: PostgresFactory) -> None:
    """ID4: a silently dropped connection is detected within 5 s; a heartbeat has a timeout."""
    server = start_postgres()
    async with listening(_with_control(server)) as (listener, heard):
        await until(lambda: time.monotonic() - listener.confirmed_at < 1)
        server.pause()
        paused = time.monotonic()
        await until(lambda: not listener.listening, 5)
        assert listener.confirmed_at <= paused
        server.resume()
        await until(lambda: heard.changes.count(("reset", "")) == 2, 10)


async def test_a_restarted_server_is_connected_again_within_two_seconds(start_postgres: PostgresFactory) -> None:
    """OP3: first success within 2 s of its return."""
    server = start_postgres()
    async with listening(_with_control(server)) as (_, heard):
        server.stop()
        await asyncio.sleep(0.5)
        server.start()
        await until(lambda: heard.changes.count(("reset", "")) == 2, 2)


async def test_a_worker_starts_without_the_server(start_postgres: PostgresFactory) -> None:
    """OP3: a worker may start before PostgreSQL does."""
    server = start_postgres()
    url = _with_control(server)
    server.stop()
    listener = ChangeListener(DatabaseSettings(url=url))
    await listener.start()
    assert not await listener.wait_until_listening(0.3)
    assert listener.confirmed_at == float("-inf")
    server.start()
    assert await listener.wait_until_listening(5)
    await listener.close()
