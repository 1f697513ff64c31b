"""A worker's journal: every request is stored at once, for any clock, disk and number of principals."""

import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.usage.abandoned import take_abandoned
from gateway.usage.errors import UsageFolderUnusable
from gateway.usage.journal import Journal
from gateway.usage.segment import file_bytes
from gateway.usage.settings import UsageSettings
from tenants.principal import Principal
from tests.fixtures.usage import ROUTE, by_caller, caller, end, left_in

_SLOTS = 4


class _Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def _journal(folder: Path, clock: _Clock | None = None, *, segments: int = 100, records: int = _SLOTS) -> Journal:
    journal = Journal(UsageSettings(folder, segments * file_bytes(records), records=records), clock or time.time)
    journal.open()
    return journal


def test_equal_requests_share_a_record_and_others_do_not(tmp_path: Path) -> None:
    journal, who = _journal(tmp_path, _Clock(), records=50), caller()
    for route, status_class, cost in ((ROUTE, 2, 1), (ROUTE, 2, 3), (ROUTE, 4, 1), ("/v1/me", 2, 1)):
        journal.count(who, route, status_class, cost)
    end(journal)
    (reading,) = left_in(tmp_path)
    found = {(each.route, each.status_class): tuple(count) for each, count in reading.counts.items()}
    assert found == {(ROUTE, 2): (2, 4), (ROUTE, 4): (1, 1), ("/v1/me", 2): (1, 1)}
    assert {each.minute for each in reading.counts} == {int(_Clock.now // 60)}
    assert {each.tenant for each in reading.counts} == {who.tenant.id.bytes}


def test_a_full_segment_is_followed_by_the_next_without_loss(tmp_path: Path) -> None:
    journal, callers = _journal(tmp_path), [caller() for _ in range(3 * _SLOTS)]
    for _ in range(3):
        for who in callers:
            journal.count(who, ROUTE, 2, 1)
            journal.prepare()
    assert len(journal.finished) >= 2
    assert not journal.full
    end(journal)
    assert by_caller(left_in(tmp_path)) == {who.id: 3 for who in callers}


def test_segments_adapt_their_size_to_the_number_of_principals(tmp_path: Path) -> None:
    """Each principal needs one record between two flushes; a worker with few has small files."""
    journal, callers = _journal(tmp_path, _Clock(), segments=1000), [caller() for _ in range(20 * _SLOTS)]
    turns = [_turns(journal, callers) for _ in range(4)]
    assert turns[0] > 0
    assert turns[-1] == 0
    assert [_turns(journal, callers[:1]) for _ in range(4)] == [0] * 4
    assert journal.finished[-1].bytes <= file_bytes(4 * _SLOTS)
    end(journal)
    assert sum(by_caller(left_in(tmp_path)).values()) == 4 * len(callers) + 4


def _turns(journal: Journal, callers: list[Principal]) -> int:
    """How many segments these fill before the next flush."""
    before = len(journal.finished)
    for who in callers:
        journal.count(who, ROUTE, 2, 1)
        journal.prepare()
    turns = len(journal.finished) - before
    journal.finish_current()
    return turns


def test_a_segment_that_is_full_before_the_next_exists_delays_no_request(tmp_path: Path) -> None:
    journal, callers = _journal(tmp_path), [caller() for _ in range(5 * _SLOTS)]
    for who in callers:
        journal.count(who, ROUTE, 2, 1)
    assert journal.segment_needed.is_set()
    end(journal)
    assert sum(by_caller(left_in(tmp_path)).values()) == 5 * _SLOTS


def test_beyond_its_bound_the_journal_is_full_and_buffers_requests_in_flight(tmp_path: Path) -> None:
    journal, callers = _journal(tmp_path, segments=3), [caller() for _ in range(30 * _SLOTS)]
    with capture_logs() as logs:
        for who in callers:
            journal.count(who, ROUTE, 2, 1)
        journal.prepare()
    assert journal.full
    assert [line["event"] for line in logs] == ["usage_buffered_in_memory"]
    taken = by_caller(segment.read() for segment in journal.finished)
    assert len(list(tmp_path.iterdir())) <= 3
    while journal.finished:
        journal.finished.popleft().discard()
    journal.prepare()
    assert not journal.full
    journal.write_buffered()
    end(journal)
    assert taken + by_caller(left_in(tmp_path)) == {who.id: 1 for who in callers}


def test_a_clock_that_is_set_back_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Minutes depend on the wall clock, the names of batches do not."""
    clock, who = _Clock(), caller()
    journal = _journal(tmp_path, clock)
    for step in (0, 3600, -3600, 60, -60, 0):
        clock.now += step
        journal.count(who, ROUTE, 2, 1)
        journal.prepare()
    end(journal)
    readings = left_in(tmp_path)
    assert len({reading.name for reading in readings}) == len(readings)
    assert by_caller(readings) == {who.id: 6}
    start = int(_Clock.now // 60)
    found = {counted.minute - start: count.requests for each in readings for counted, count in each.counts.items()}
    assert found == {0: 4, 60: 1, 1: 1}


def test_a_principal_with_a_new_object_for_every_request_has_one_record(tmp_path: Path) -> None:
    """A principal cache that is too small must not fill the journal."""
    journal, first = _journal(tmp_path, _Clock()), caller()
    for _ in range(10 * _SLOTS):
        again = caller(tenant=first.tenant)
        object.__setattr__(again, "id", first.id)
        journal.count(again, ROUTE, 2, 1)
    assert not journal.finished
    end(journal)
    assert by_caller(left_in(tmp_path)) == {first.id: 10 * _SLOTS}


def test_a_segment_of_a_living_worker_is_not_taken_over(tmp_path: Path) -> None:
    journal, who = _journal(tmp_path), caller()
    journal.count(who, ROUTE, 2, 1)
    journal.finish_current()
    assert take_abandoned(tmp_path, 10) == []
    end(journal)
    (taken,) = take_abandoned(tmp_path, 10)
    assert take_abandoned(tmp_path, 10) == []  # nor one that another worker writes to PostgreSQL
    taken.release()


def test_an_empty_journal_leaves_no_file(tmp_path: Path) -> None:
    journal = _journal(tmp_path)
    end(journal)
    assert list(tmp_path.iterdir()) == []


def test_an_unusable_folder_fails_the_start(tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.write_text("in the way")
    with pytest.raises(UsageFolderUnusable, match="TENANTRY_USAGE_FOLDER"):
        _journal(file / "usage")
