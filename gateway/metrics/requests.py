"""Requests: count, status class, duration, and number in flight. Costs 0.4 µs a request."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from operator import add
from time import perf_counter

from billing.usage.counts import UNMATCHED
from gateway.metrics.metric import Metric, MetricKind, Sample
from gateway.request.context import RequestContext
from gateway.request.route import Route

_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
_BUCKETS = len(_BOUNDS) + 1
_STATUSES = ("cut_short", "1xx", "2xx", "3xx", "4xx", "5xx")  # no complete response, or the first digit of its status
_NO_METHOD = "none"  # of unmatched requests: callers may send any method
_FIRST_REFUSAL = 400
_MOST_ROUTES = 10_000  # route objects with counts of their own: each version of the proxied routes may bring new ones
_MOST_TEMPLATES = 10_000  # label values
OTHER = "other"  # in the place of further templates

REQUESTS = Metric(
    MetricKind.COUNTER,
    "tenantry_requests",
    "Completed requests by route template, method and status class. HEAD counts as GET.",
    ("route", "method", "status"),
)
SECONDS = Metric(
    MetricKind.HISTOGRAM,
    "tenantry_request_seconds",
    "Time from the arrival of a request at the gate to the last byte of its response, by route template.",
    ("route",),
)
IN_FLIGHT = Metric(MetricKind.SUM, "tenantry_requests_in_flight", "Requests in flight.")
REFUSALS = Metric(
    MetricKind.COUNTER, "tenantry_refusals", "Requests refused with a problem document, by its code.", ("code",)
)


_Tally = tuple[str, list[float]]  # method and counts


class RequestMeter:
    """One per worker. ``begin`` and ``close`` are called for every request, ``samples`` once a second."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._ended: dict[Route | None, list[float]] = {}
        self._former: dict[tuple[str, str], list[float]] = {}  # by template and method, of objects given up
        self._unmatched: dict[str, list[float]] = {}  # requests without a route, by the template of their path
        self._refused: Counter[str] = Counter()
        self._sampled: dict[str, int] = {}  # by template: number of requests in the last samples

    def begin(self, _request: RequestContext) -> None:
        """The first stage of the gate."""
        self.in_flight += 1

    def close(self, request: RequestContext, status: int) -> None:
        """The request has ended. ``status`` is 0 without a complete response."""
        self.in_flight -= 1
        seconds = perf_counter() - request.started
        try:
            tally = self._ended[request.route]
        except KeyError:
            tally = self._first(request.route)
        tally[0] += seconds
        tally[status // 100 * _BUCKETS + bisect_left(_BOUNDS, seconds) + 1] += 1
        if status >= _FIRST_REFUSAL and "code" in request.log:  # otherwise an upstream's own response
            self._refused[str(request.log["code"])] += 1

    def samples(self) -> Iterator[Sample]:
        """The samples that have changed since the last call, so that unused routes cost nothing."""
        if len(self._ended) > _MOST_ROUTES:
            self._give_up_routes()
        for template, tallies in self._by_template().items():
            count = sum(int(sum(tally[1:])) for _, tally in tallies)
            if count != self._sampled.get(template):
                self._sampled[template] = count
                yield from _of_template(template, tallies)
        yield IN_FLIGHT.sample(self.in_flight)
        yield from (REFUSALS.sample(count, code) for code, count in self._refused.items())

    def _by_template(self) -> dict[str, list[_Tally]]:
        found: dict[str, list[_Tally]] = {}
        for route, tally in self._ended.items():
            template, method = (route.template, route.method) if route else (UNMATCHED, _NO_METHOD)
            found.setdefault(template, []).append((method, tally))
        for (template, method), tally in self._former.items():
            found.setdefault(template, []).append((method, tally))
        for template, tally in self._unmatched.items():
            found.setdefault(template or UNMATCHED, []).append((_NO_METHOD, tally))
        return found

    def _give_up_routes(self) -> None:
        """Keep the counts, and not the objects, which keep their applications alive."""
        for route, tally in self._ended.items():
            label = (route.template, route.method) if route else (UNMATCHED, _NO_METHOD)
            if label not in self._former and len(self._former) >= _MOST_TEMPLATES:
                label = (OTHER, _NO_METHOD)
            self._former[label] = list(map(add, self._former.get(label, _empty()), tally))
        self._ended.clear()

    def _first(self, route: Route | None) -> list[float]:
        if route is not None and not route.method:  # created for this request
            return self._unmatched.setdefault(route.template, _empty())
        return self._ended.setdefault(route, _empty())


def _of_template(template: str, tallies: list[_Tally]) -> Iterator[Sample]:
    requests: Counter[tuple[str, str]] = Counter()
    seconds, counts = 0.0, [0.0] * _BUCKETS
    for method, tally in tallies:
        seconds += tally[0]
        for each, status in enumerate(_STATUSES):
            buckets = tally[each * _BUCKETS + 1 :][:_BUCKETS]
            counts = list(map(add, counts, buckets))
            requests[method, status] += int(sum(buckets))
    yield from (REQUESTS.sample(count, template, *labels) for labels, count in requests.items() if count)
    yield from SECONDS.buckets(_BOUNDS, counts, seconds, template)


def _empty() -> list[float]:
    """The total duration in seconds; then, for each status class, the counts of its buckets."""
    return [0.0] * (len(_STATUSES) * _BUCKETS + 1)
