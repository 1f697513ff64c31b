"""Metrics of several workers in one folder: what becomes of the values of the living and of the dead."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics.gathering import gather
from gateway.metrics.measure import Kind, Measure, Sample
from gateway.metrics.slot import bury_the_dead
from gateway.metrics.worker_files import WorkerFiles

_COUNTED = Measure(Kind.COUNTER, "counted", "Some that were counted.", ("kind",))
_HELD = Measure(Kind.TOTAL, "held", "Some that are held.")
_OLDEST = Measure(Kind.LARGEST, "oldest", "The oldest.")
_TOOK = Measure(Kind.HISTOGRAM, "took", "How long it took.", ("kind",))


def _put(worker: WorkerFiles, *samples: Sample) -> WorkerFiles:
    worker.set(samples)
    worker.write()
    return worker


def _killed(worker: WorkerFiles) -> None:
    """What the kernel does for a process that is killed: its lock goes, its files stay."""
    worker._slot.release()


def _gathered(folder: Path) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(gather(folder).decode())
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def test_values_of_living_workers_are_added_up_or_the_largest_is_taken(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        worker = WorkerFiles(tmp_path)
        _put(worker, _COUNTED.of(number, "a"), _HELD.of(number), _OLDEST.of(number))
        _put(worker, *_TOOK.buckets((0.1, 1.0), [number, 0, 1], 2.5, "a"))
    assert _gathered(tmp_path) == {
        ("counted_total", "a"): 6,
        ("held",): 6,
        ("oldest",): 3,
        ("took_bucket", "a", "0.1"): 6,
        ("took_bucket", "a", "1.0"): 6,
        ("took_bucket", "a", "+Inf"): 9,
        ("took_count", "a"): 9,
        ("took_sum", "a"): 7.5,
    }


def test_a_killed_workers_counters_stay_and_what_it_held_is_gone(tmp_path: Path) -> None:
    """OP2: a counter that went back would look like a fall, a gauge that stayed like a worker that lives."""
    _put(WorkerFiles(tmp_path), _COUNTED.of(1, "a"), _HELD.of(1), _OLDEST.of(1))
    _killed(_put(WorkerFiles(tmp_path), _COUNTED.of(10, "a"), _COUNTED.of(5, "b"), _HELD.of(10), _OLDEST.of(10)))
    assert _gathered(tmp_path) == {("counted_total", "a"): 11, ("counted_total", "b"): 5, ("held",): 1, ("oldest",): 1}


def test_a_successor_goes_on_with_the_counters_of_the_dead(tmp_path: Path) -> None:
    """However often workers die, there are no more files than workers were alive at one time."""
    _put(WorkerFiles(tmp_path), _COUNTED.of(1, "a"))
    for _ in range(20):
        _killed(_put(WorkerFiles(tmp_path), _COUNTED.of(2, "a"), _COUNTED.of(1, "b"), _HELD.of(3)))
    successor = WorkerFiles(tmp_path)
    assert _gathered(tmp_path) == {("counted_total", "a"): 41, ("counted_total", "b"): 20}
    _put(successor, _COUNTED.of(4, "a"))
    assert _gathered(tmp_path) == {("counted_total", "a"): 45, ("counted_total", "b"): 20}
    assert len(list(tmp_path.glob("counter_*.db"))) == 2


def test_a_worker_that_ends_in_order_leaves_its_counters(tmp_path: Path) -> None:
    _put(WorkerFiles(tmp_path), _COUNTED.of(1, "a"), _HELD.of(1)).close()
    assert _gathered(tmp_path) == {("counted_total", "a"): 1}
    _put(WorkerFiles(tmp_path), _COUNTED.of(1, "a"), _HELD.of(1))
    assert _gathered(tmp_path) == {("counted_total", "a"): 2, ("held",): 1}


def test_a_deployment_begins_anew_but_leaves_those_that_live_alone(tmp_path: Path) -> None:
    _put(WorkerFiles(tmp_path), _COUNTED.of(1, "a"))
    _killed(_put(WorkerFiles(tmp_path), _COUNTED.of(10, "a")))
    bury_the_dead(tmp_path, *Kind)
    assert _gathered(tmp_path) == {("counted_total", "a"): 1}


def test_whoever_reads_before_anything_was_written_finds_nothing_and_no_fault(tmp_path: Path) -> None:
    WorkerFiles(tmp_path)
    assert _gathered(tmp_path) == {}


@contextmanager
def _no_room_beyond(size: int) -> Iterator[None]:
    """Writing further fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_an_error_and_what_was_written_stays_readable(tmp_path: Path) -> None:
    worker = _put(WorkerFiles(tmp_path), _COUNTED.of(1, "a"))
    before = _gathered(tmp_path)
    worker.set([_COUNTED.of(number, f"kind {number}") for number in range(100)])
    with _no_room_beyond(2000), pytest.raises(OSError, match="too large"):
        worker.write()
    assert _gathered(tmp_path) == before
    worker.write()
    assert len(_gathered(tmp_path)) == 101
