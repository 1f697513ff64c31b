"""Requests: how many, how they ended, how long they took, how many are in hand. Costs 0.4 µs each."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from operator import add
from time import perf_counter

from billing.usage.counts import UNMATCHED
from gateway.metrics.measure import Kind, Measure, Sample
from gateway.request.context import RequestContext
from gateway.request.route import Route

_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
_BUCKETS = len(_BOUNDS) + 1
_STATUSES = ("cut_short", "1xx", "2xx", "3xx", "4xx", "5xx")  # no whole answer was sent, or its status' first digit
_NO_METHOD = "none"  # none that a route answers to: callers may send any word
_FIRST_REFUSAL = 400

REQUESTS = Measure(
    Kind.COUNTER,
    "tenantry_requests",
    "Requests that ended, by route template, method and status class. HEAD is answered, and counted, as GET.",
    ("route", "method", "status"),
)
SECONDS = Measure(
    Kind.HISTOGRAM,
    "tenantry_request_seconds",
    "Time from a request's arrival at the gate to the last byte of its answer, by route template.",
    ("route",),
)
IN_FLIGHT = Measure(Kind.TOTAL, "tenantry_requests_in_flight", "Requests that have begun and not ended.")
REFUSALS = Measure(
    Kind.COUNTER, "tenantry_refusals", "Requests that were answered with a problem, by the problem's code.", ("code",)
)


_Tally = tuple[str, list[float]]  # of a method


class RequestMeter:
    """One per worker. ``begin`` and ``close`` are all that a request meets; the rest is for whoever reads."""

    def __init__(self) -> None:
        self._begun = 0
        self._ended: dict[Route | None, list[float]] = {}
        self._nowhere: dict[str, list[float]] = {}  # requests that no route answers, by the template of their path
        self._refused: Counter[str] = Counter()
        self._taken: dict[str, int] = {}  # by template: how many the samples that were last taken told of

    def begin(self, _request: RequestContext) -> None:
        """The first stage of a request's way."""
        self._begun += 1

    def close(self, request: RequestContext, status: int) -> None:
        """The request is over; ``status`` is 0 when it ended without the end of an answer."""
        seconds = perf_counter() - request.started
        try:
            tally = self._ended[request.route]
        except KeyError:
            tally = self._first(request.route)
        tally[0] += seconds
        tally[status // 100 * _BUCKETS + bisect_left(_BOUNDS, seconds) + 1] += 1
        if status >= _FIRST_REFUSAL and "code" in request.log:  # else an upstream's own answer
            self._refused[str(request.log["code"])] += 1

    def samples(self) -> Iterator[Sample]:
        """What has changed since they were last taken, so that routes that nobody calls cost nothing."""
        ended = 0
        for template, tallies in self._by_template().items():
            count = sum(int(sum(tally[1:])) for _, tally in tallies)
            ended += count
            if count != self._taken.get(template):
                self._taken[template] = count
                yield from _of_template(template, tallies)
        yield IN_FLIGHT.of(self._begun - ended)
        yield from (REFUSALS.of(count, code) for code, count in self._refused.items())

    def _by_template(self) -> dict[str, list[_Tally]]:
        found: dict[str, list[_Tally]] = {}
        for route, tally in self._ended.items():
            template, method = (route.template, route.method) if route else (UNMATCHED, _NO_METHOD)
            found.setdefault(template, []).append((method, tally))
        for template, tally in self._nowhere.items():
            found.setdefault(template or UNMATCHED, []).append((_NO_METHOD, tally))
        return found

    def _first(self, route: Route | None) -> list[float]:
        if route is not None and not route.method:  # made for this one request
            return self._nowhere.setdefault(route.template, _empty())
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
    yield from (REQUESTS.of(count, template, *labels) for labels, count in requests.items() if count)
    yield from SECONDS.buckets(_BOUNDS, counts, seconds, template)


def _empty() -> list[float]:
    """Seconds of all together; then, for each class of status, how many took how long."""
    return [0.0] * (len(_STATUSES) * _BUCKETS + 1)
