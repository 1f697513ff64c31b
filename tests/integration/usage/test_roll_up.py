"""Batches reach PostgreSQL exactly once, whoever brings them and however often."""

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
from gateway.usage.layout import SLOT
from gateway.usage.recorder import UsageRecorder
from gateway.usage.settings import UsageSettings
from tenants.database.sessions import Database
from tenants.principal import PrincipalKind
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.tenants import open_database
from tests.fixtures.usage import ROUTE, caller, end, requests_of, rolled_up

pytestmark = pytest.mark.anyio

_NEVER = 3600.0  # seconds: these tests call the rounds themselves


@pytest.fixture
async def database(database_urls: DatabaseUrls) -> AsyncIterator[Database]:
    async with open_database(database_urls.gateway) as opened:
        yield opened


def _recorder(folder: Path, database: Database, slots: int = 50) -> UsageRecorder:
    made = UsageRecorder(UsageSettings(folder, flush_seconds=_NEVER, slots=slots), database)
    made.journal.open()
    return made


async def _flush(recorder: UsageRecorder) -> None:
    recorder.journal.cut()
    await recorder.flusher.round()


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _damage(folder: Path) -> bytes:
    """Damage the second slot of the only segment, cut its fifth off; what is left of it."""
    (file,) = folder.iterdir()
    data = bytearray(file.read_bytes())[: 5 * SLOT + 10]
    data[2 * SLOT + 30] ^= 0xFF
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


async def test_the_same_batch_twice_is_added_once(database: Database, database_urls: DatabaseUrls) -> None:
    batch = _batch(_counted(), _counted())
    assert await _apply(database, batch) is True
    assert await _apply(database, batch) is False
    assert set(rolled_up(database_urls.superuser).values()) == {Count(2, 6)}
    assert requests_of(database_urls.superuser) == 4


async def test_whatever_a_template_is_made_of_reaches_its_row(database: Database, database_urls: DatabaseUrls) -> None:
    """It stands in an array literal, where some of these mean something."""
    routes = ['/a"b', "/a\\b", "/{x},{y}", "/a b ", "NULL", "", "/\u00e9\u4e2d", "/'; --", '\\"']
    one = _counted()
    assert await _apply(database, _batch(*(one._replace(route=route) for route in routes)))
    assert {route for _, route, _ in rolled_up(database_urls.superuser)} == set(routes)
    assert set(rolled_up(database_urls.superuser).values()) == {Count(2, 6)}


async def test_the_same_batch_from_two_sides_at_once_is_added_once(
    database: Database, database_urls: DatabaseUrls
) -> None:
    batch = _batch(*(_counted() for _ in range(200)))
    assert sorted(await asyncio.gather(*(_apply(database, batch) for _ in range(4)))) == [False, False, False, True]
    assert requests_of(database_urls.superuser) == 400


async def test_batches_of_several_workers_add_up_in_the_same_rows_without_a_deadlock(
    database: Database, database_urls: DatabaseUrls
) -> None:
    """Each worker meets the same callers in another order; rows are locked in one order all the same."""
    shared = [_counted() for _ in range(300)]
    batches = [_batch(*shared[at:], *shared[:at]) for at in range(0, 300, 30)]
    assert all(await asyncio.gather(*(_apply(database, batch) for batch in batches)))
    assert requests_of(database_urls.superuser) == 10 * 300 * 2


async def test_what_a_worker_counted_is_rolled_up_and_its_file_is_gone(
    database: Database, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    recorder, key, user = _recorder(tmp_path, database), caller(), caller(PrincipalKind.USER)
    for who, status_class in ((key, 2), (key, 2), (key, 5), (user, 2)):
        recorder.journal.count(who, ROUTE, status_class, 1)
    await _flush(recorder)
    assert rolled_up(database_urls.superuser) == {
        (key.id.hex, ROUTE, 2): Count(2, 2),
        (key.id.hex, ROUTE, 5): Count(1, 1),
        (user.id.hex, ROUTE, 2): Count(1, 1),
    }
    await recorder.close()
    assert _files(tmp_path) == []


@pytest.fixture
def _no_collections() -> Iterator[None]:
    """Of garbage: this process has as many objects as a whole test run leaves."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collections")
async def test_ten_thousand_rows_leave_the_event_loop_to_requests(
    database: Database, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    """Measured by the loop's own thread: what others do meanwhile, or another process, makes no difference."""
    recorder, longest = _recorder(tmp_path, database, slots=10_000), 0.0
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


async def test_a_segment_whose_deletion_was_not_seen_is_added_once(
    database: Database, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    """Killed between the commit and the deletion: the next worker finds the file, and the batch is known."""
    recorder, who = _recorder(tmp_path, database), caller()
    recorder.journal.count(who, ROUTE, 2, 1)
    recorder.journal.cut()
    (segment,) = recorder.journal.finished
    assert await _apply(database, segment.read().batch())
    end(recorder.journal)
    await _flush(_recorder(tmp_path, database))
    assert requests_of(database_urls.superuser) == 1


async def test_journals_of_dead_workers_are_rolled_up_by_one_of_the_living(
    database: Database, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    """Two living workers look at the same folder at once; each dead one's segment is one batch."""
    callers = [caller() for _ in range(60)]
    for _ in range(3):
        dead = _recorder(tmp_path, database, slots=7)
        for who in callers:
            dead.journal.count(who, ROUTE, 2, 1)
        end(dead.journal)
    living = [_recorder(tmp_path, database) for _ in range(2)]
    await asyncio.gather(*(each.flusher.round() for each in living))
    assert requests_of(database_urls.superuser) == 180
    for each in living:
        await each.close()
    assert _files(tmp_path) == []


async def test_a_damaged_journal_is_told_and_kept_and_what_is_readable_is_counted(
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
    assert {who for who, _, _ in rolled_up(database_urls.superuser)} == {callers[at].id.hex for at in (0, 2, 3)}


async def test_a_batch_that_postgresql_refuses_keeps_no_other_waiting(
    database: Database, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    recorder, who = _recorder(tmp_path, database), caller()
    recorder.journal.count(who, "/v1/\0", 2, 1)  # PostgreSQL's text has no NUL
    recorder.journal.cut()
    recorder.journal.count(who, ROUTE, 2, 1)
    with capture_logs() as logs:
        await _flush(recorder)
    assert [line["event"] for line in logs] == ["usage_batch_refused"]
    assert requests_of(database_urls.superuser) == 1
    assert len(recorder.journal.finished) == 1  # kept, and tried again
