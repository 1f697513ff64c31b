"""Metrics of the proxied routes of a worker."""

from collections.abc import Iterator

from gateway.metrics.metric import Metric, MetricKind, Sample
from gateway.proxy.live import LiveRoutes

_VERSION = Metric(
    MetricKind.MAX, "tenantry_routes_version", "Version of the proxied routes in force on the worker that is ahead."
)
_LOADS = Metric(MetricKind.COUNTER, "tenantry_routes_loads", "Times that a version of the routes came into force.")
_UNAVAILABLE = Metric(
    MetricKind.SUM,
    "tenantry_routes_unavailable",
    "Routes, over all workers, that answer 503 because a part of their configuration cannot be used there.",
)
_CLOSED = Metric(
    MetricKind.SUM, "tenantry_routes_workers_without", "Workers that can use no version, and answer 503 for all routes."
)


def route_samples(routes: LiveRoutes) -> Iterator[Sample]:
    """The version in force, and what of it cannot be served."""
    yield _VERSION.sample(routes.version)
    yield _LOADS.sample(routes.loads)
    yield _UNAVAILABLE.sample(routes.unavailable)
    yield _CLOSED.sample(not routes.is_loaded)
