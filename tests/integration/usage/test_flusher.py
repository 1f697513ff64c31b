"""Batches are applied exactly once, by any worker and any number of attempts."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from billing.usage.batch import Batch
from billing.usage.counts import Count, Counted
from billing.usage.service import Usage
from gateway.usage.layout import RECORD_SIZE
from gateway.usage.recorder import UsageRecorder
from gateway.usage.settings import UsageSettings
from tenants.database.sessions import Database
from tenants.principal import PrincipalKind
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.tenants import open_database
from tests.fixtures.usage import ROUTE, caller, end, requests_of, stored_counts

pytestmark = pytest.mark.anyio

_NEVER = 3600.0  # seconds: the tests call the rounds themselves


@pytest.fixture
async def database(database_urls: DatabaseUrls) -> AsyncIterator[Database]:
    async with open_database(database_urls.gateway) as opened:
        yield opened


def _recorder(folder: Path, database: Database, records: int = 50) -> UsageRecorder:
    made = UsageRecorder(UsageSettings(folder, flush_seconds=_NEVER, records=records), database, Usage())
    made.journal.open()
    return made


async def _flush(recorder: UsageRecorder) -> None:
    recorder.journal.finish_current()
    await recorder.flusher.round()


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _damage(folder: Path) -> bytes:
    """Damage the second record of the only segment and truncate the fifth; returns the file."""
    (file,) = folder.iterdir()
    data = bytearray(file.read_bytes())[: 5 * RECORD_SIZE + 10]
    data[2 * RECORD_SIZE + 30] ^= 0xFF
    file.write_bytes(data)
    return bytes(data)


async def _apply(database: Database, batch: Batch) -> bool:
    async with database.control() as session:
        return await Usage().apply(session, batch)


def _batch(*counted: Counted) -> Batch:
    return Batch.of(uuid4(), 1, dict.fromkeys(counted, Count(2, 6)))


def _counted(minute: int = 29_000_000) -> Counted:
    who = caller()
    return Counted(minute, who.tenant.id.bytes, who.id.bytes, ROUTE, 2, PrincipalKind.API_KEY)


async def test_a_repeated_batch_is_added_once(database: Database, database_urls: DatabaseUrls) -> None:
    batch = _batch(_counted(), _counted())
    assert await _apply(database, batch) is True
    assert await _apply(database, batch) is False
    assert set(stored_counts(database_urls.superuser).values()) == {Count(2, 6)}
    assert requests_of(database_urls.superuser) == 4


async def test_special_characters_of_a_template_are_stored(database: Database, database_urls: DatabaseUrls) -> None:
    """It is part of an array literal, which has special characters."""
    routes = ['/a"b', "/a\\b", "/{x},{y}", "/a b ", "NULL", "", "/\u00e9\u4e2d", "/'; --", '\\"']
    one = _counted()
    assert await _apply(database, _batch(*(one._replace(route=route) for route in routes)))
    assert {route for _, route, _ in stored_counts(database_urls.superuser)} == set(routes)
    assert set(stored_counts(database_urls.superuser).values()) == {Count(2, 6)}


async def test_a_batch_from_two_concurrent_workers_is_added_once(
    database: Database, database_urls: DatabaseUrls
) -> None:
    batch = _batch(*(_counted() for _ in range(200)))
    assert sorted(await asyncio.gather(*(_apply(database, batch) for _ in range(4)))) == [False, False, False, True]
    assert requests_of(database_urls.superuser) == 400


async def test_batches_of_several_workers_add_up_without_a_deadlock(
    database: Database, database_urls: DatabaseUrls
) -> None:
    """Each worker has the same principals in another order; rows are locked in one order."""
    shared = [_counted() for _ in range(300)]
    batches = [_batch(*shared[at:], *shared[:at]) for at in range(0, 300, 30)]
    assert all(await asyncio.gather(*(_apply(database, batch) for batch in batches)))
    assert requests_of(database_urls.superuser) == 10 * 300 * 2


async def test_a_flushed_segment_is_deleted(database: Database, database_urls: DatabaseUrls, tmp_path: Path) -> None:
    recorder, key, user = _recorder(tmp_path, database), caller(), caller(PrincipalKind.USER)
    for who, status_class in ((key, 2), (key, 2), (key, 5), (user, 2)):
        recorder.journal.count(who, ROUTE, status_class, 1)
    await _flush(recorder)
    assert stored_counts(database_urls.superuser) == {
        (key.id.hex, ROUTE, 2): Count(2, 2),
        (key.id.hex, ROUTE, 5): Count(1, 1),
        (user.id.hex, ROUTE, 2): Count(1, 1),
    }
    await recorder.close()
    assert _files(tmp_path) == []


@pytest.fixture
def _no_collections() -> Iterator[None]:
    """No garbage collection: this process has the objects of a whole test run."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collections")
async def test_a_flush_of_ten_thousand_rows_does_not_block_the_event_loop(
    database: Database, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    """Measured in CPU time of the loop's thread, so that other threads and processes make no difference."""
    recorder, longest = _recorder(tmp_path, database, records=10_000), 0.0
    for _ in range(10_000):
        recorder.journal.count(caller(), ROUTE, 2, 1)
    rolling = asyncio.create_task(_flush(recorder))
    while not rolling.done():
        began = time.thread_time()
        await asyncio.sleep(0)
        longest = max(longest, time.thread_time() - began)
    await rolling
    assert requests_of(database_urls.superuser) == 10_000
    assert longest < 0.1


async def test_a_segment_that_was_committed_but_not_deleted_is_added_once(
    database: Database, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    """A worker killed between commit and deletion: the next worker finds the file, and the batch is known."""
    recorder, who = _recorder(tmp_path, database), caller()
    recorder.journal.count(who, ROUTE, 2, 1)
    recorder.journal.finish_current()
    (segment,) = recorder.journal.finished
    assert await _apply(database, segment.read().batch())
    end(recorder.journal)
    await _flush(_recorder(tmp_path, database))
    assert requests_of(database_urls.superuser) == 1


async def test_journals_of_dead_workers_are_flushed_by_one_living_worker(
    database: Database, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    """Two living workers scan the folder concurrently; each segment is one batch."""
    callers = [caller() for _ in range(60)]
    for _ in range(3):
        dead = _recorder(tmp_path, database, records=7)
        for who in callers:
            dead.journal.count(who, ROUTE, 2, 1)
        end(dead.journal)
    living = [_recorder(tmp_path, database) for _ in range(2)]
    await asyncio.gather(*(each.flusher.round() for each in living))
    assert requests_of(database_urls.superuser) == 180
    for each in living:
        await each.close()
    assert _files(tmp_path) == []


async def test_a_damaged_journal_is_logged_and_kept_and_its_intact_records_are_counted(
    database: Database, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    dead, callers = _recorder(tmp_path, database), [caller() for _ in range(5)]
    for who in callers:
        dead.journal.count(who, ROUTE, 2, 1)
    end(dead.journal)
    data = _damage(tmp_path)
    with capture_logs() as logs:
        for _ in range(2):
            await _flush(_recorder(tmp_path, database))
    damaged = [line for line in logs if line["event"] == "usage_segment_damaged"]
    assert len(damaged) == 1
    assert damaged[0]["log_level"] == "error"
    assert damaged[0]["read"] == 3
    assert len(damaged[0]["damage"]) == 2
    assert [file.read_bytes() for file in _files(tmp_path) if str(file) == damaged[0]["kept"]] == [data]
    assert {who for who, _, _ in stored_counts(database_urls.superuser)} == {callers[at].id.hex for at in (0, 2, 3)}


async def test_a_refused_batch_delays_no_other(database: Database, database_urls: DatabaseUrls, tmp_path: Path) -> None:
    recorder, who = _recorder(tmp_path, database), caller()
    recorder.journal.count(who, "/v1/\0", 2, 1)  # PostgreSQL's text has no NUL
    recorder.journal.finish_current()
    recorder.journal.count(who, ROUTE, 2, 1)
    with capture_logs() as logs:
        await _flush(recorder)
    assert [line["event"] for line in logs] == ["usage_batch_refused"]
    assert requests_of(database_urls.superuser) == 1
    assert len(recorder.journal.finished) == 1  # kept, and retried
