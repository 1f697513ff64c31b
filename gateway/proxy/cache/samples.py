"""Metrics of the response cache."""

from collections.abc import Iterator

from gateway.metrics.metric import Metric, MetricKind, Sample
from gateway.proxy.cache.store import ResponseCache

_REQUESTS = Metric(
    MetricKind.COUNTER,
    "tenantry_proxy_cache_requests",
    "GET and HEAD requests to routes with a cache: answered from it fresh (hit) or stale, after a validation, with the "
    "answer to another request (collapsed), by the upstream (miss), past the cache (bypass), or not at all (refused).",
    ("outcome",),
)
_STORED = Metric(MetricKind.COUNTER, "tenantry_proxy_cache_stored", "Answers that were stored.")
_REMOVED = Metric(
    MetricKind.COUNTER,
    "tenantry_proxy_cache_removed",
    "Keys that were dropped for others, or because an unsafe method succeeded on their path.",
    ("cause",),
)
_PURGES = Metric(MetricKind.COUNTER, "tenantry_proxy_cache_purges", "Purges, of operators and of changes.")
_BYTES = Metric(MetricKind.SUM, "tenantry_proxy_cache_bytes", "Bytes of stored answers, over all workers.")
_RECEIVING = Metric(
    MetricKind.SUM, "tenantry_proxy_cache_receiving_bytes", "Bytes of answers that are received to be stored."
)
_KEYS = Metric(MetricKind.SUM, "tenantry_proxy_cache_keys", "Keys that something is known of, over all workers.")


def cache_samples(cache: ResponseCache) -> Iterator[Sample]:
    """The values of one worker."""
    stats = cache.stats
    for outcome, count in stats.outcomes.items():
        yield _REQUESTS.sample(count, outcome)
    yield _STORED.sample(stats.stored)
    yield _REMOVED.sample(stats.evictions, "evicted")
    yield _REMOVED.sample(stats.invalidated, "invalidated")
    yield _PURGES.sample(stats.purges)
    yield _BYTES.sample(cache.bytes)
    yield _RECEIVING.sample(cache.fills.bytes)
    yield _KEYS.sample(len(cache))
