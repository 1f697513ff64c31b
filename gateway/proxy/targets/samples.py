"""Samples of a worker's upstreams for its metrics. Labels are names of the configuration, never a tenant (SE2)."""

from collections.abc import Iterator, Mapping
from itertools import islice
from operator import add

from gateway.metrics.metric import Metric, MetricKind, Sample
from gateway.proxy.targets.meters import BOUNDS, UpstreamMeter
from gateway.proxy.targets.outcomes import Outcome
from gateway.proxy.targets.target import TargetState
from gateway.proxy.targets.upstream import Upstream

ATTEMPTS = Metric(
    MetricKind.COUNTER,
    "tenantry_upstream_attempts",
    "Requests sent to targets, retries included, by route and how they ended.",
    ("upstream", "route", "outcome"),
)
SECONDS = Metric(
    MetricKind.HISTOGRAM,
    "tenantry_upstream_attempt_seconds",
    "Time from the start of an attempt to the head of the target's response, or to its failure.",
    ("upstream",),
)
RETRIES = Metric(
    MetricKind.COUNTER,
    "tenantry_upstream_retries",
    "Retries made, and retries that the budget did not allow.",
    ("upstream", "fate"),
)
EJECTIONS = Metric(
    MetricKind.COUNTER, "tenantry_upstream_ejections", "Targets ejected after failed requests.", ("upstream",)
)
WITHOUT_TARGET = Metric(
    MetricKind.COUNTER,
    "tenantry_upstream_without_target",
    "Requests refused since every target was unhealthy.",
    ("upstream",),
)
CHECKS = Metric(
    MetricKind.COUNTER, "tenantry_upstream_checks", "Active health checks by result.", ("upstream", "result")
)
TARGETS = Metric(
    MetricKind.SUM,
    "tenantry_upstream_targets",
    "Targets by state, those of tenants included; each worker counts each target, as it sees it.",
    ("upstream", "state"),
)
READY = Metric(
    MetricKind.SUM,
    "tenantry_upstream_target_ready",
    "Workers that send requests to a target. The first 2,000 are listed, and none of a tenant.",
    ("upstream", "target"),
)
IN_FLIGHT = Metric(
    MetricKind.SUM, "tenantry_upstream_in_flight", "Requests in flight to targets, over all workers.", ("upstream",)
)
CONNECTIONS = Metric(
    MetricKind.SUM,
    "tenantry_upstream_connections",
    "Connections to targets that are open, over all workers, and requests that wait for one.",
    ("upstream", "state"),
)


_MOST_LISTED = 2_000  # targets that have a sample of their own
_NOTHING = (0,) * len(TargetState), 0, 0, 0, 0

_Gauges = tuple[tuple[int, ...], int, int, int, int]


class UpstreamSampler:
    """Gives what has changed since the last call, so that upstreams without requests cost little."""

    def __init__(self, counters: Mapping[str, UpstreamMeter]) -> None:
        self._counters = counters
        self._counted: dict[str, int] = {}  # by upstream: sum of its counters
        self._measured: dict[str, _Gauges] = {}
        self._ready: dict[tuple[str, str], bool] = {}  # by upstream and target

    def samples(self, upstreams: Mapping[str, Upstream]) -> Iterator[Sample]:
        """The counters of all upstreams since the start, and the gauges of those in force."""
        for name, counters in self._counters.items():
            count = counters.total()
            if self._counted.get(name) != count:
                self._counted[name] = count
                yield from _counted(name, counters)
        yield from self._gauges(upstreams)
        yield from self._listed(upstreams)

    def _gauges(self, upstreams: Mapping[str, Upstream]) -> Iterator[Sample]:
        former, self._measured = self._measured, {name: _measured(each) for name, each in upstreams.items()}
        for name, gauges in self._measured.items():
            if former.get(name) != gauges:
                yield from _gauge_samples(name, gauges)
        for name in former.keys() - upstreams.keys():  # the file keeps what was written last
            yield from _gauge_samples(name, _NOTHING)

    def _listed(self, upstreams: Mapping[str, Upstream]) -> Iterator[Sample]:
        former, self._ready = self._ready, {}
        targets = ((each.name, target) for each in upstreams.values() for target in each.shared.targets)
        for name, target in islice(targets, _MOST_LISTED):
            key = name, target.name
            self._ready[key] = self._ready.get(key, False) or target.state is TargetState.READY
        for key, is_ready in self._ready.items():
            if former.get(key) is not is_ready:
                yield READY.sample(is_ready, *key)
        for key in former.keys() - self._ready.keys():
            yield READY.sample(0, *key)


def _counted(upstream: str, counters: UpstreamMeter) -> Iterator[Sample]:
    buckets, seconds = [0] * (len(BOUNDS) + 1), 0.0
    for route, meter in counters.by_route.items():
        buckets, seconds = [*map(add, buckets, meter.buckets)], seconds + meter.seconds
        for outcome in Outcome:
            if meter.outcomes[outcome]:
                yield ATTEMPTS.sample(meter.outcomes[outcome], upstream, route, outcome.name.lower())
    yield from SECONDS.buckets(BOUNDS, buckets, seconds, upstream)
    yield RETRIES.sample(counters.budget.retries, upstream, "made")
    yield RETRIES.sample(counters.budget.denied, upstream, "denied")
    yield EJECTIONS.sample(counters.ejections, upstream)
    yield WITHOUT_TARGET.sample(counters.without_target, upstream)
    yield CHECKS.sample(counters.checks_passed, upstream, "passed")
    yield CHECKS.sample(counters.checks_failed, upstream, "failed")


def _measured(upstream: Upstream) -> _Gauges:
    states = dict.fromkeys(TargetState, 0)
    in_flight = size = idle = waiting = 0
    for target in upstream.targets():
        states[target.state] += 1
        in_flight += target.outstanding
        size, idle, waiting = size + target.pool.size, idle + target.pool.idle, waiting + target.pool.waiting
    return tuple(states.values()), in_flight, size - idle, idle, waiting


def _gauge_samples(name: str, gauges: _Gauges) -> Iterator[Sample]:
    states, in_flight, in_use, idle, waiting = gauges
    for state, count in zip(TargetState, states, strict=True):
        yield TARGETS.sample(count, name, state.value)
    yield IN_FLIGHT.sample(in_flight, name)
    yield CONNECTIONS.sample(in_use, name, "in_use")
    yield CONNECTIONS.sample(idle, name, "idle")
    yield CONNECTIONS.sample(waiting, name, "waiting")
