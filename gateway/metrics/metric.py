"""Definitions of metrics: name, help text, labels, and how the values of several workers are combined.

Label values are route templates, methods and our own enumerations, never a tenant, a key or a path: those would
disclose data and have unbounded cardinality.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from prometheus_client.mmap_dict import mmap_key
from prometheus_client.utils import floatToGoString

INFINITY = float("inf")


class MetricKind(StrEnum):
    """The prefix of prometheus-client's file names, which determines how the values of workers are combined."""

    COUNTER = "counter"  # the sum over all workers, dead ones too
    HISTOGRAM = "histogram"  # likewise, for each bucket
    SUM = "gauge_livesum"  # over the living
    MAX = "gauge_livemax"  # over the living


CUMULATIVE = (MetricKind.COUNTER, MetricKind.HISTOGRAM)  # values that stay valid when their worker is dead


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. The name of a counter is without its ``_total``."""

    kind: MetricKind
    name: str
    help: str
    labels: tuple[str, ...] = ()

    def sample(self, value: float, *labels: str) -> "Sample":
        """Its value in one worker; of a counter since the start of that worker."""
        return Sample(self, "_total" if self.kind is MetricKind.COUNTER else "", labels, value)

    def buckets(self, bounds: tuple[float, ...], counts: Sequence[float], total: float, *labels: str) -> list["Sample"]:
        """The samples of a histogram. ``counts`` are not cumulative, and there is one more of them than of bounds."""
        tops = map(floatToGoString, (*bounds, INFINITY))
        each = (Sample(self, "_bucket", (*labels, top), count) for top, count in zip(tops, counts, strict=True))
        return [Sample(self, "_sum", labels, total), *each]


class Sample(NamedTuple):
    """One value of a metric."""

    metric: Metric
    suffix: str
    labels: tuple[str, ...]  # values in the metric's order; the upper bound of a bucket comes last
    value: float

    def key(self) -> str:
        """The key of the sample in prometheus-client's files."""
        metric = self.metric
        names = (*metric.labels, "le") if self.suffix == "_bucket" else metric.labels
        return mmap_key(metric.name, metric.name + self.suffix, list(names), list(self.labels), metric.help)
