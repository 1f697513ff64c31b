"""What the operating system and the interpreter tell of a worker, by prometheus-client's own collectors and names."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, GCCollector, Metric, PlatformCollector, ProcessCollector

from gateway.metrics.measure import Kind, Measure, Sample
from gateway.version import VERSION

_OF_THE_LARGEST = frozenset({"process_start_time_seconds", "process_max_fds", "python_info"})

_WORKERS = Measure(Kind.TOTAL, "tenantry_workers", "Worker processes that are alive.")
_BUILD = Measure(Kind.LARGEST, "tenantry_build_info", "Which Tenantry serves.", ("version",))


class ProcessSource:
    """Reads ``/proc``: to be asked in a thread."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, GCCollector, PlatformCollector):
            collector(registry=self._registry)

    def samples(self) -> Iterator[Sample]:
        """Of this process."""
        yield _WORKERS.of(1)
        yield _BUILD.of(1, VERSION)
        for family in self._registry.collect():
            yield from _samples(family)


def _samples(family: Metric) -> Iterator[Sample]:
    for each in family.samples:
        measure = Measure(_kind(family), family.name, family.documentation, tuple(each.labels))
        yield measure.of(each.value, *each.labels.values())


def _kind(family: Metric) -> Kind:
    if family.type == "counter":
        return Kind.COUNTER
    return Kind.LARGEST if family.name in _OF_THE_LARGEST else Kind.TOTAL
