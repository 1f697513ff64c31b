"""Many workers that share a tenant's permits, in virtual time: the real permits and script in a real Redis.

As ``simulation.py`` for tokens. An admitted request is in flight for as long as the load says.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import redis

from gateway.throttle.concurrency import ConcurrencyPermits, PermitRequest
from gateway.throttle.leased_resource import CONCURRENCY

_START = 1000.0  # our clock, seconds
_SERVER_AHEAD = 1_795_000_000.0  # seconds that Redis's clock is ahead of ours
_TIME = "local time = redis.call('TIME')"
_STORES = ""  # in place of the argument by which a script stores nothing
_GIVEN_TIME = "local time = {ARGV[3], ARGV[4]}"


@dataclass(slots=True)
class PermitLoad:
    """The load on the workers, and the faults."""

    limit: int
    rates: Sequence[float]  # requests a second for each worker, Poisson
    duration: Callable[[random.Random], float]  # seconds for which a request is in flight
    seconds: float
    seed: int = 1
    trip: Callable[[random.Random], float] = lambda rng: rng.uniform(0.0002, 0.0008)  # seconds of a call
    killed: dict[int, float] = field(default_factory=dict)  # worker: seconds after the start
    quiet: dict[int, float] = field(default_factory=dict)  # worker: seconds after which it gets no more requests
    emptied: float | None = None  # seconds after the start at which Redis loses its data
    set_by: tuple[float, float] | None = None  # when its clock is set, and by how much
    limits: Sequence[tuple[float, int]] = ()  # when the plan's limit changes, and to what


@dataclass(slots=True)
class PermitResult:
    """Moments are seconds after the start."""

    admitted: list[tuple[float, float]] = field(default_factory=list)  # began, ended
    by_worker: Counter[int] = field(default_factory=Counter)  # of those
    refused: list[float] = field(default_factory=list)
    offered: list[tuple[float, float]] = field(default_factory=list)  # arrival and duration
    calls: list[float] = field(default_factory=list)

    def admitted_in(self, begin: float, end: float) -> int:
        """How many began between two moments."""
        return sum(begin <= began < end for began, _ in self.admitted)

    def most_in_flight(self, begin: float = 0.0, end: float = float("inf")) -> int:
        """The most at any moment between these two."""
        return most_at_once(self.admitted, begin, end)


def most_at_once(spans: Sequence[tuple[float, float]], begin: float = 0.0, end: float = float("inf")) -> int:
    """The most half-open intervals that overlap at any moment between these two."""
    changes = sorted([(first, 1) for first, _ in spans] + [(last, -1) for _, last in spans])
    most = present = 0
    for moment, change in changes:
        present += change
        if begin <= moment < end:
            most = max(most, present)
    return most


def ideally(offered: Sequence[tuple[float, float]], limit: int) -> int:
    """How many of these requests a semaphore in one process would admit."""
    ends: list[float] = []
    admitted = 0
    for arrived, duration in sorted(offered):
        while ends and ends[0] <= arrived:
            heapq.heappop(ends)
        if len(ends) < limit:
            heapq.heappush(ends, arrived + duration)
            admitted += 1
    return admitted


class PermitSimulation:
    """Runs one load, calling Redis as ``LeaseManager`` does."""

    def __init__(self, client: redis.Redis, load: PermitLoad) -> None:
        client.flushall()
        assert _TIME in CONCURRENCY.text
        self._script = client.register_script(CONCURRENCY.text.replace(_TIME, _GIVEN_TIME))
        self._client = client
        self._load = load
        self._rng = random.Random(load.seed)  # noqa: S311 - arrivals, not secrets
        self.workers = [self._permits(number) for number, _ in enumerate(load.rates)]
        self._waiting: list[list[tuple[float, float]]] = [[] for _ in load.rates]
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = itertools.count()
        self.result = PermitResult()

    def run(self) -> PermitResult:
        """Run to the end."""
        for worker, rate in enumerate(self._load.rates):
            if rate:
                self._at(_START + self._rng.expovariate(rate), partial(self._arrive, worker))
        if self._load.emptied is not None:
            self._at(_START + self._load.emptied, self._empty)
        for moment, limit in self._load.limits:
            self._at(_START + moment, partial(self._resize, limit=limit))
        end = _START + self._load.seconds
        while self._events and self._events[0][0] < end:
            now, _, action = heapq.heappop(self._events)
            action(now)
        return self.result

    def _permits(self, number: int) -> ConcurrencyPermits:
        permits = ConcurrencyPermits("t", ("simulated:{t}",), workers=len(self._load.rates), worker_id=number + 1)
        permits.set_limit(self._load.limit)
        return permits

    def _at(self, moment: float, action: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._number), action))

    def _empty(self, _now: float) -> None:
        self._client.flushdb()

    def _alive(self, worker: int, now: float) -> bool:
        return now - _START < self._load.killed.get(worker, float("inf"))

    def _resize(self, _now: float, limit: int) -> None:
        for permits in self.workers:
            permits.set_limit(limit)

    def _arrive(self, worker: int, now: float) -> None:
        if not self._alive(worker, now) or now - _START >= self._load.quiet.get(worker, float("inf")):
            return
        duration = self._load.duration(self._rng)
        self.result.offered.append((now - _START, duration))
        self._request(worker, now, now, duration)
        self._at(now + self._rng.expovariate(self._load.rates[worker]), partial(self._arrive, worker))

    def _request(self, worker: int, now: float, arrived: float, duration: float) -> None:
        """As the limiter and the lease manager do it."""
        permits = self.workers[worker]
        if permits.available(now):
            permits.acquire()
            self._begin(worker, now, duration)
            if permits.needs_refill(now):
                self._ask(worker, now)
        elif permits.exhausted(now):
            self.result.refused.append(now - _START)
        else:
            self._waiting[worker].append((arrived, duration))
            if not permits.call_pending:
                self._ask(worker, now)

    def _begin(self, worker: int, now: float, duration: float) -> None:
        died = _START + self._load.killed.get(worker, float("inf"))
        self.result.by_worker[worker] += 1
        self.result.admitted.append((now - _START, min(now + duration, died) - _START))
        self._at(now + duration, partial(self._end, worker, duration))

    def _end(self, worker: int, duration: float, now: float) -> None:
        if self._alive(worker, now) and self.workers[worker].release(now, duration):
            self._watch(worker, now)

    def _ask(self, worker: int, now: float, *, ahead: bool = True) -> None:
        permits = self.workers[worker]
        request = permits.next_request(now, [1] * len(self._waiting[worker]), ahead=ahead)
        if request.worth_sending:
            permits.call_pending = True
            self._send(worker, now, request)

    def _send(self, worker: int, now: float, request: PermitRequest) -> None:
        permits, trip = self.workers[worker], self._load.trip(self._rng)
        self.result.calls.append(now - _START)

        def arrive(there: float) -> None:
            seconds, microseconds = divmod(int(self._server(there) * 1_000_000), 1_000_000)
            reply = self._script(keys=permits.keys, args=[*request.arguments, _STORES, seconds, microseconds])
            self._at(now + trip, lambda later: self._answer(worker, reply, now, later, request))

        self._at(now + trip * self._rng.random(), arrive)

    def _server(self, now: float) -> float:
        at, by = self._load.set_by or (float("inf"), 0.0)
        return now + _SERVER_AHEAD + (by if now - _START >= at else 0.0)

    def _answer(self, worker: int, reply: list[int], sent: float, now: float, request: PermitRequest) -> None:
        if not self._alive(worker, now):
            return
        permits = self.workers[worker]
        permits.apply_reply(reply, sent=sent, received=now, request=request)
        permits.call_pending = False
        waiting, self._waiting[worker] = self._waiting[worker], []
        for arrived, duration in waiting:
            self._request(worker, now, arrived, duration)
        self._watch(worker, now)

    def _watch(self, worker: int, now: float) -> None:
        permits = self.workers[worker]
        due = permits.report_due()
        if due is not None and not permits.call_pending and due < permits.timer_at:
            permits.timer_at = due
            self._at(max(now, due), partial(self._wake, worker, due))

    def _wake(self, worker: int, due: float, now: float) -> None:
        permits = self.workers[worker]
        if permits.timer_at != due or not self._alive(worker, now):
            return
        permits.timer_at = float("inf")
        if not permits.report_pending(now):
            self._watch(worker, now)
        elif not permits.call_pending:
            self._ask(worker, now, ahead=False)
