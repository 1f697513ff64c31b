"""Metrics of several workers in one folder, living and dead."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics.metric import Metric, MetricKind, Sample
from gateway.metrics.worker_files import WorkerFiles, combine, delete_dead_values, totals

_COUNTED = Metric(MetricKind.COUNTER, "counted", "Some that were counted.", ("kind",))
_HELD = Metric(MetricKind.SUM, "held", "Some that are held.")
_OLDEST = Metric(MetricKind.MAX, "oldest", "The oldest.")
_TOOK = Metric(MetricKind.HISTOGRAM, "took", "How long it took.", ("kind",))


def _put(worker: WorkerFiles, *samples: Sample) -> WorkerFiles:
    worker.set(samples)
    worker.write()
    return worker


def _killed(worker: WorkerFiles) -> None:
    """What the kernel does for a killed process: it releases the lock and keeps the files."""
    worker._number.release()


def _gathered(folder: Path) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(combine(folder).decode())
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def test_values_of_living_workers_are_summed_or_their_maximum_is_taken(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        worker = WorkerFiles(tmp_path)
        _put(worker, _COUNTED.sample(number, "a"), _HELD.sample(number), _OLDEST.sample(number))
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


def test_values_of_the_living_are_read_by_their_labels(tmp_path: Path) -> None:
    """On how many workers of this host a target is ready; OP2: a killed one does not count."""
    ready = Metric(MetricKind.SUM, "ready", "Workers.", ("upstream", "target"))
    for _ in range(2):
        _put(WorkerFiles(tmp_path), ready.sample(1, "echo", "a"), ready.sample(0, "echo", "b"), _HELD.sample(2))
    _killed(_put(WorkerFiles(tmp_path), ready.sample(1, "echo", "b"), _HELD.sample(2)))
    assert totals(tmp_path, (ready, _HELD)) == [{("echo", "a"): 2, ("echo", "b"): 0}, {(): 4}]


def test_a_killed_workers_counters_stay_and_its_gauges_are_removed(tmp_path: Path) -> None:
    """OP2: a counter must not decrease, and a gauge must not report a dead worker."""
    _put(WorkerFiles(tmp_path), _COUNTED.sample(1, "a"), _HELD.sample(1), _OLDEST.sample(1))
    _killed(
        _put(
            WorkerFiles(tmp_path),
            _COUNTED.sample(10, "a"),
            _COUNTED.sample(5, "b"),
            _HELD.sample(10),
            _OLDEST.sample(10),
        )
    )
    assert _gathered(tmp_path) == {("counted_total", "a"): 11, ("counted_total", "b"): 5, ("held",): 1, ("oldest",): 1}


def test_a_replacement_continues_the_counters_of_a_dead_worker(tmp_path: Path) -> None:
    """There are never more files than workers that were alive at one time."""
    _put(WorkerFiles(tmp_path), _COUNTED.sample(1, "a"))
    for _ in range(20):
        _killed(_put(WorkerFiles(tmp_path), _COUNTED.sample(2, "a"), _COUNTED.sample(1, "b"), _HELD.sample(3)))
    successor = WorkerFiles(tmp_path)
    assert _gathered(tmp_path) == {("counted_total", "a"): 41, ("counted_total", "b"): 20}
    _put(successor, _COUNTED.sample(4, "a"))
    assert _gathered(tmp_path) == {("counted_total", "a"): 45, ("counted_total", "b"): 20}
    assert len(list(tmp_path.glob("counter_*.db"))) == 2


def test_a_stopped_worker_leaves_its_counters(tmp_path: Path) -> None:
    _put(WorkerFiles(tmp_path), _COUNTED.sample(1, "a"), _HELD.sample(1)).close()
    assert _gathered(tmp_path) == {("counted_total", "a"): 1}
    _put(WorkerFiles(tmp_path), _COUNTED.sample(1, "a"), _HELD.sample(1))
    assert _gathered(tmp_path) == {("counted_total", "a"): 2, ("held",): 1}


def test_a_new_deployment_resets_the_values_of_dead_workers_only(tmp_path: Path) -> None:
    _put(WorkerFiles(tmp_path), _COUNTED.sample(1, "a"))
    _killed(_put(WorkerFiles(tmp_path), _COUNTED.sample(10, "a")))
    delete_dead_values(tmp_path, *MetricKind)
    assert _gathered(tmp_path) == {("counted_total", "a"): 1}


def test_reading_before_the_first_write_returns_nothing(tmp_path: Path) -> None:
    WorkerFiles(tmp_path)
    assert _gathered(tmp_path) == {}


@contextmanager
def _no_room_beyond(size: int) -> Iterator[None]:
    """Fails further writes, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_an_error_and_written_values_stay_readable(tmp_path: Path) -> None:
    worker = _put(WorkerFiles(tmp_path), _COUNTED.sample(1, "a"))
    before = _gathered(tmp_path)
    worker.set([_COUNTED.sample(number, f"kind {number}") for number in range(100)])
    with _no_room_beyond(2000), pytest.raises(OSError, match="too large"):
        worker.write()
    assert _gathered(tmp_path) == before
    worker.write()
    assert len(_gathered(tmp_path)) == 101
