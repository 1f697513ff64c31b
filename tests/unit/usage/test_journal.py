"""A worker's journal: every request in it at once, whatever the clock, the disk and the number of callers do."""

import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.usage.abandoned import take
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


def _journal(folder: Path, clock: _Clock | None = None, *, segments: int = 100, slots: int = _SLOTS) -> Journal:
    journal = Journal(UsageSettings(folder, segments * file_bytes(slots), slots=slots), clock or time.time)
    journal.open()
    return journal


def test_requests_alike_share_a_slot_and_others_do_not(tmp_path: Path) -> None:
    journal, who = _journal(tmp_path, _Clock(), slots=50), caller()
    for route, status_class, cost in ((ROUTE, 2, 1), (ROUTE, 2, 3), (ROUTE, 4, 1), ("/v1/me", 2, 1)):
        journal.count(who, route, status_class, cost)
    end(journal)
    (reading,) = left_in(tmp_path)
    found = {(each.route, each.status_class): tuple(count) for each, count in reading.counts.items()}
    assert found == {(ROUTE, 2): (2, 4), (ROUTE, 4): (1, 1), ("/v1/me", 2): (1, 1)}
    assert {each.minute for each in reading.counts} == {int(_Clock.now // 60)}
    assert {each.tenant for each in reading.counts} == {who.tenant.id.bytes}


def test_a_full_segment_gives_way_to_the_next_and_nothing_is_lost(tmp_path: Path) -> None:
    journal, callers = _journal(tmp_path), [caller() for _ in range(3 * _SLOTS)]
    for _ in range(3):
        for who in callers:
            journal.count(who, ROUTE, 2, 1)
            journal.prepare()
    assert len(journal.finished) >= 2
    assert not journal.full
    end(journal)
    assert by_caller(left_in(tmp_path)) == {who.id: 3 for who in callers}


def test_segments_grow_until_they_hold_all_callers_and_shrink_when_these_have_gone(tmp_path: Path) -> None:
    """Each opens a slot once between two roll-ups; a worker with few keeps small files."""
    journal, callers = _journal(tmp_path, _Clock(), segments=1000), [caller() for _ in range(20 * _SLOTS)]
    turns = [_turns(journal, callers) for _ in range(4)]
    assert turns[0] > 0
    assert turns[-1] == 0
    assert [_turns(journal, callers[:1]) for _ in range(4)] == [0] * 4
    assert journal.finished[-1].bytes <= file_bytes(4 * _SLOTS)
    end(journal)
    assert sum(by_caller(left_in(tmp_path)).values()) == 4 * len(callers) + 4


def _turns(journal: Journal, callers: list[Principal]) -> int:
    """How many segments are filled by these before the next roll-up."""
    before = len(journal.finished)
    for who in callers:
        journal.count(who, ROUTE, 2, 1)
        journal.prepare()
    turns = len(journal.finished) - before
    journal.cut()
    return turns


def test_a_segment_that_fills_before_the_next_was_made_waits_for_nobody(tmp_path: Path) -> None:
    journal, callers = _journal(tmp_path), [caller() for _ in range(5 * _SLOTS)]
    for who in callers:
        journal.count(who, ROUTE, 2, 1)
    assert journal.wanted.is_set()
    end(journal)
    assert sum(by_caller(left_in(tmp_path)).values()) == 5 * _SLOTS


def test_past_its_bound_the_journal_is_full_and_what_was_in_hand_is_kept_until_there_is_room(tmp_path: Path) -> None:
    journal, callers = _journal(tmp_path, segments=3), [caller() for _ in range(30 * _SLOTS)]
    with capture_logs() as logs:
        for who in callers:
            journal.count(who, ROUTE, 2, 1)
        journal.prepare()
    assert journal.full
    assert [line["event"] for line in logs] == ["usage_kept_in_memory"]
    taken = by_caller(segment.read() for segment in journal.finished)
    assert len(list(tmp_path.iterdir())) <= 3
    while journal.finished:
        journal.finished.popleft().discard()
    journal.prepare()
    assert not journal.full
    journal.settle()
    end(journal)
    assert taken + by_caller(left_in(tmp_path)) == {who.id: 1 for who in callers}


def test_a_clock_that_is_set_back_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """Minutes are the wall clock's, the names of batches are not."""
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


def test_a_caller_whose_object_is_made_anew_for_every_request_still_has_one_slot(tmp_path: Path) -> None:
    """A cache that is too small for its callers must not fill the journal."""
    journal, first = _journal(tmp_path, _Clock()), caller()
    for _ in range(10 * _SLOTS):
        again = caller(tenant=first.tenant)
        object.__setattr__(again, "id", first.id)
        journal.count(again, ROUTE, 2, 1)
    assert not journal.finished
    end(journal)
    assert by_caller(left_in(tmp_path)) == {first.id: 10 * _SLOTS}


def test_nobody_takes_a_segment_whose_worker_lives(tmp_path: Path) -> None:
    journal, who = _journal(tmp_path), caller()
    journal.count(who, ROUTE, 2, 1)
    journal.cut()
    assert take(tmp_path, 10) == []
    end(journal)
    (taken,) = take(tmp_path, 10)
    assert take(tmp_path, 10) == []  # nor one that somebody is rolling up
    taken.release()


def test_a_journal_without_counts_leaves_no_file(tmp_path: Path) -> None:
    journal = _journal(tmp_path)
    end(journal)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_used_is_told_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.write_text("in the way")
    with pytest.raises(UsageFolderUnusable, match="TENANTRY_USAGE_FOLDER"):
        _journal(file / "usage")
