"""Samples of a worker's upstreams for its metrics. Labels are names of the configuration, never a tenant (SE2)."""

from collections.abc import Iterator, Mapping
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
    "Workers that send requests to a target. Targets of tenants are not listed.",
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


class UpstreamSampler:
    """Gives what has changed since the last call, so that an unused upstream costs little."""

    def __init__(self, counters: Mapping[str, UpstreamMeter]) -> None:
        self._counters = counters
        self._counted: dict[str, int] = {}  # by upstream: sum of its counters
        self._gauges: dict[tuple[str, tuple[str, ...]], Sample] = {}

    def samples(self, upstreams: Mapping[str, Upstream]) -> Iterator[Sample]:
        """The counters of all upstreams since the start, and the gauges of those in force."""
        for name, counters in self._counters.items():
            count = counters.total()
            if self._counted.get(name) != count:
                self._counted[name] = count
                yield from _counted(name, counters)
        former, self._gauges = self._gauges, {}
        for upstream in upstreams.values():
            for gauge in _gauges(upstream):
                key = gauge.metric.name, gauge.labels
                self._gauges[key] = gauge
                before = former.pop(key, None)
                if before is None or before.value != gauge.value:
                    yield gauge
        for gone in former.values():  # the file keeps what was written last
            yield gone._replace(value=0)


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


def _gauges(upstream: Upstream) -> Iterator[Sample]:
    name, states = upstream.name, dict.fromkeys(TargetState, 0)
    in_flight = size = idle = waiting = 0
    for target in upstream.targets():
        states[target.state] += 1
        in_flight += target.outstanding
        size, idle, waiting = size + target.pool.size, idle + target.pool.idle, waiting + target.pool.waiting
    for state, count in states.items():
        yield TARGETS.sample(count, name, state.value)
    ready = dict.fromkeys((target.name for target in upstream.shared.targets), 0)
    for target in upstream.shared.targets:
        ready[target.name] |= target.state is TargetState.READY
    for target_name, is_ready in ready.items():
        yield READY.sample(is_ready, name, target_name)
    yield IN_FLIGHT.sample(in_flight, name)
    yield CONNECTIONS.sample(size - idle, name, "in_use")
    yield CONNECTIONS.sample(idle, name, "idle")
    yield CONNECTIONS.sample(waiting, name, "waiting")
