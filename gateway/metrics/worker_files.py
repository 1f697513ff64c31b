"""The metric files of the workers of one host, in a shared folder.

Each worker has the first free number. The replacement of a dead worker takes over its number and its counters, so that
no counter decreases and there are never more files than workers that were alive at one time. A lock shows whether the
owner of a number is alive: the kernel releases it when the process ends.
"""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.metrics.metric import CUMULATIVE, Metric, MetricKind, Sample
from gateway.metrics.value_file import ValueFile
from gateway.usage.names import open_locked

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_LOCK = ".slot"
_LIVE_ONLY = tuple(kind for kind in MetricKind if kind not in CUMULATIVE)


class WorkerNumber:
    """A number held by this process until it is released or the process ends."""

    def __init__(self, folder: Path, number: int, descriptor: int) -> None:
        self._folder = folder
        self._number = number
        self._descriptor = descriptor

    @classmethod
    def claim(cls, folder: Path) -> Self:
        """The first free number. Raises OSError when the folder is not writable."""
        number = 0
        while (descriptor := open_locked(folder / f"{number}{_LOCK}", os.O_CREAT)) is None:
            number += 1
        claimed = cls(folder, number, descriptor)
        claimed.delete(*_LIVE_ONLY)
        return claimed

    def file(self, kind: MetricKind) -> Path:
        """The file of this worker's values of that kind."""
        return self._folder / f"{kind}_{self._number}.db"

    def delete(self, *kinds: MetricKind) -> None:
        """Delete the values of these kinds."""
        for kind in kinds:
            self.file(kind).unlink(missing_ok=True)

    def touch(self) -> None:
        """Keep cleaners of temporary folders from deleting the lock file: the number would be claimed twice."""
        os.utime(self._descriptor)

    def release(self) -> None:
        """Free the number for another worker."""
        os.close(self._descriptor)


class WorkerFiles:
    """The files of one worker, written from ``set`` and ``write`` to ``close``, and read by every worker."""

    def __init__(self, folder: Path) -> None:
        """Claim a number in the folder, which is created if necessary. Raises OSError."""
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._number = WorkerNumber.claim(folder)
        self._files = {kind: ValueFile(self._number.file(kind)) for kind in MetricKind}

    def set(self, samples: Iterable[Sample]) -> None:
        """Store the current values, for the next ``write``."""
        for sample in samples:
            self._files[sample.metric.kind].set(sample)

    def write(self) -> None:
        """Write the values for all workers to read. May wait for the disk. Raises OSError."""
        self._number.touch()
        for file in self._files.values():
            file.write()

    def close(self) -> None:
        """Keep the counters; delete the values of a living worker."""
        self._number.delete(*_LIVE_ONLY)
        self._number.release()


def delete_dead_values(folder: Path, *kinds: MetricKind) -> None:
    """Delete the values of dead workers of these kinds, by default of those that only the living may report."""
    for path in folder.glob(f"*{_LOCK}"):
        descriptor = open_locked(path, 0)
        if descriptor is None:
            continue
        number = WorkerNumber(folder, int(path.name.removesuffix(_LOCK)), descriptor)
        number.delete(*(kinds or _LIVE_ONLY))  # under the lock: no worker can have claimed the number meanwhile
        number.release()


def combine(folder: Path) -> bytes:
    """The combined values of all workers in Prometheus's text format. Takes milliseconds: call it in a thread."""
    delete_dead_values(folder)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]  # the library is partly annotated
    return generate_latest(registry)


def totals(folder: Path, metrics: Sequence[Metric]) -> list[dict[tuple[str, ...], float]]:
    """Of each metric, which is of kind SUM, the values over all living workers, by labels. Call it in a thread."""
    delete_dead_values(folder)
    found: dict[str, dict[tuple[str, ...], float]] = {metric.name: {} for metric in metrics}
    names = {metric.name: metric.labels for metric in metrics}
    for path in folder.glob(f"{MetricKind.SUM}_*.db"):
        for key, value, *_ in MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call]  # the library's
            metric_name, _, labels, _ = json.loads(key)
            if metric_name in found:
                values = tuple(labels[name] for name in names[metric_name])
                found[metric_name][values] = found[metric_name].get(values, 0.0) + value
    return [found[metric.name] for metric in metrics]
