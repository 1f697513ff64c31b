"""Samples of the operating system and the interpreter, from prometheus-client's own collectors."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import Metric as Family

from gateway.metrics.metric import Metric, MetricKind, Sample
from gateway.version import VERSION

_MAXIMA = frozenset({"process_start_time_seconds", "process_max_fds", "python_info"})

WORKERS = Metric(MetricKind.SUM, "tenantry_workers", "Worker processes that are alive.")
_BUILD = Metric(MetricKind.MAX, "tenantry_build_info", "Version of Tenantry.", ("version",))


class ProcessSource:
    """Reads ``/proc``: to be used in a thread."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, GCCollector, PlatformCollector):
            collector(registry=self._registry)

    def samples(self) -> Iterator[Sample]:
        """The samples of this process."""
        yield WORKERS.sample(1)
        yield _BUILD.sample(1, VERSION)
        for family in self._registry.collect():
            yield from _samples(family)


def _samples(family: Family) -> Iterator[Sample]:
    for each in family.samples:
        metric = Metric(_kind(family), family.name, family.documentation, tuple(each.labels))
        yield metric.sample(each.value, *each.labels.values())


def _kind(family: Family) -> MetricKind:
    if family.type == "counter":
        return MetricKind.COUNTER
    return MetricKind.MAX if family.name in _MAXIMA else MetricKind.SUM
