"""What is measured: its name, meaning and labels, and how the values of several workers become one.

Labels are route templates, methods and enumerations of ours: never a tenant, a key or a path, which would show what is
nobody else's business, and be without bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from prometheus_client.mmap_dict import mmap_key
from prometheus_client.utils import floatToGoString

ENDLESS = float("inf")


class Kind(StrEnum):
    """How a name of prometheus-client's files begins, by which it tells what to do with the values of workers."""

    COUNTER = "counter"  # added up, with those of dead workers
    HISTOGRAM = "histogram"  # likewise, bucket by bucket
    TOTAL = "gauge_livesum"  # of the living
    LARGEST = "gauge_livemax"  # among the living


LASTING = (Kind.COUNTER, Kind.HISTOGRAM)  # what a worker has counted stays true when it is dead


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric. The name of a counter is without its ``_total``."""

    kind: Kind
    name: str
    meaning: str
    labels: tuple[str, ...] = ()

    def of(self, value: float, *labels: str) -> "Sample":
        """Its value for one worker, since that worker's start."""
        return Sample(self, "_total" if self.kind is Kind.COUNTER else "", labels, value)

    def buckets(self, bounds: tuple[float, ...], counts: Sequence[float], total: float, *labels: str) -> list["Sample"]:
        """A histogram's values; ``counts`` are of each bucket alone, and there is one more of them than of bounds."""
        tops = map(floatToGoString, (*bounds, ENDLESS))
        each = (Sample(self, "_bucket", (*labels, top), count) for top, count in zip(tops, counts, strict=True))
        return [Sample(self, "_sum", labels, total), *each]


class Sample(NamedTuple):
    """One number, and what it stands for."""

    measure: Measure
    suffix: str
    labels: tuple[str, ...]  # values, in the measure's order; a bucket's upper bound comes last
    value: float

    def key(self) -> str:
        """The name of the number in prometheus-client's files."""
        measure = self.measure
        names = (*measure.labels, "le") if self.suffix == "_bucket" else measure.labels
        return mmap_key(measure.name, measure.name + self.suffix, list(names), list(self.labels), measure.meaning)
