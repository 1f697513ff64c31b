"""Many workers that share a tenant's slots, in virtual time: the real slots and the real script in a real Redis.

As ``simulation.py`` does it for tokens. A request that is admitted is in flight for as long as the load says.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import redis

from gateway.throttle.script import SLOTS
from gateway.throttle.slots import SlotAsk, Slots

_START = 1000.0  # our clock, seconds
_SERVER_AHEAD = 1_795_000_000.0  # seconds that Redis's clock is ahead of ours
_TIME = "local time = redis.call('TIME')"
_GIVEN_TIME = "local time = {ARGV[2], ARGV[3]}"


@dataclass(slots=True)
class SlotLoad:
    """What is asked of the workers, and how the world is."""

    limit: int
    rates: Sequence[float]  # requests a second that come to each worker, Poisson
    lasts: Callable[[random.Random], float]  # seconds for which a request is in flight
    seconds: float
    seed: int = 1
    trip: Callable[[random.Random], float] = lambda rng: rng.uniform(0.0002, 0.0008)  # seconds of a call
    killed: dict[int, float] = field(default_factory=dict)  # worker: seconds after the start
    quiet: dict[int, float] = field(default_factory=dict)  # worker: seconds after which no request comes to it any more
    emptied: float | None = None  # seconds after the start at which Redis loses everything
    set_by: tuple[float, float] | None = None  # at which its clock is set, and by how much
    limits: Sequence[tuple[float, int]] = ()  # moments at which the plan changes, and to what


@dataclass(slots=True)
class SlotResult:
    """Moments are seconds after the start."""

    admitted: list[tuple[float, float]] = field(default_factory=list)  # began, ended
    by_worker: Counter[int] = field(default_factory=Counter)  # of those
    refused: list[float] = field(default_factory=list)
    offered: list[tuple[float, float]] = field(default_factory=list)  # came, and would be in flight for so long
    calls: list[float] = field(default_factory=list)

    def admitted_in(self, begin: float, end: float) -> int:
        """How many began between two moments."""
        return sum(begin <= began < end for began, _ in self.admitted)

    def most_in_flight(self, begin: float = 0.0, end: float = float("inf")) -> int:
        """The most at any moment between these two."""
        return most_at_once(self.admitted, begin, end)


def most_at_once(spans: Sequence[tuple[float, float]], begin: float = 0.0, end: float = float("inf")) -> int:
    """The most of the half-open spans that hold one moment of that time."""
    changes = sorted([(first, 1) for first, _ in spans] + [(last, -1) for _, last in spans])
    most = present = 0
    for moment, change in changes:
        present += change
        if begin <= moment < end:
            most = max(most, present)
    return most


def ideally(offered: Sequence[tuple[float, float]], limit: int) -> int:
    """How many of these a semaphore in one process would admit."""
    ends: list[float] = []
    admitted = 0
    for came, lasts in sorted(offered):
        while ends and ends[0] <= came:
            heapq.heappop(ends)
        if len(ends) < limit:
            heapq.heappush(ends, came + lasts)
            admitted += 1
    return admitted


class SlotSimulation:
    """Runs one load, asking as ``Refills`` does."""

    def __init__(self, client: redis.Redis, load: SlotLoad) -> None:
        client.flushall()
        assert _TIME in SLOTS.text
        self._script = client.register_script(SLOTS.text.replace(_TIME, _GIVEN_TIME))
        self._client = client
        self._load = load
        self._rng = random.Random(load.seed)  # noqa: S311 - arrivals, not secrets
        self.workers = [self._slots(number) for number, _ in enumerate(load.rates)]
        self._waiting: list[list[tuple[float, float]]] = [[] for _ in load.rates]
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = itertools.count()
        self.result = SlotResult()

    def run(self) -> SlotResult:
        """All of it."""
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

    def _slots(self, number: int) -> Slots:
        slots = Slots("t", ("simulated:{t}",), workers=len(self._load.rates), asker=number + 1)
        slots.resize(self._load.limit)
        return slots

    def _at(self, moment: float, action: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._number), action))

    def _empty(self, _now: float) -> None:
        self._client.flushdb()

    def _alive(self, worker: int, now: float) -> bool:
        return now - _START < self._load.killed.get(worker, float("inf"))

    def _resize(self, _now: float, limit: int) -> None:
        for slots in self.workers:
            slots.resize(limit)

    def _arrive(self, worker: int, now: float) -> None:
        if not self._alive(worker, now) or now - _START >= self._load.quiet.get(worker, float("inf")):
            return
        lasts = self._load.lasts(self._rng)
        self.result.offered.append((now - _START, lasts))
        self._request(worker, now, now, lasts)
        self._at(now + self._rng.expovariate(self._load.rates[worker]), partial(self._arrive, worker))

    def _request(self, worker: int, now: float, came: float, lasts: float) -> None:
        """As the limiter and the refills do it."""
        slots = self.workers[worker]
        if slots.at_hand(now):
            slots.enter()
            self._begin(worker, now, lasts)
            if slots.wants_more(now):
                self._ask(worker, now)
        elif slots.closed(now):
            self.result.refused.append(now - _START)
        else:
            self._waiting[worker].append((came, lasts))
            if not slots.asking:
                self._ask(worker, now)

    def _begin(self, worker: int, now: float, lasts: float) -> None:
        died = _START + self._load.killed.get(worker, float("inf"))
        self.result.by_worker[worker] += 1
        self.result.admitted.append((now - _START, min(now + lasts, died) - _START))
        self._at(now + lasts, partial(self._end, worker, lasts))

    def _end(self, worker: int, lasts: float, now: float) -> None:
        if self._alive(worker, now) and self.workers[worker].leave(now, lasts):
            self._watch(worker, now)

    def _ask(self, worker: int, now: float, *, ahead: bool = True) -> None:
        slots = self.workers[worker]
        asked = slots.ask(now, [1] * len(self._waiting[worker]), ahead=ahead)
        if asked.worth_sending:
            slots.asking = True
            self._send(worker, now, asked)

    def _send(self, worker: int, now: float, asked: SlotAsk) -> None:
        slots, trip = self.workers[worker], self._load.trip(self._rng)
        self.result.calls.append(now - _START)

        def arrive(there: float) -> None:
            seconds, microseconds = divmod(int(self._server(there) * 1_000_000), 1_000_000)
            reply = self._script(keys=slots.keys, args=[*asked.arguments, seconds, microseconds])
            self._at(now + trip, lambda later: self._answer(worker, reply, now, later, asked))

        self._at(now + trip * self._rng.random(), arrive)

    def _server(self, now: float) -> float:
        at, by = self._load.set_by or (float("inf"), 0.0)
        return now + _SERVER_AHEAD + (by if now - _START >= at else 0.0)

    def _answer(self, worker: int, reply: list[int], sent: float, now: float, asked: SlotAsk) -> None:
        if not self._alive(worker, now):
            return
        slots = self.workers[worker]
        slots.answered(reply, sent=sent, received=now, asked=asked)
        slots.asking = False
        waiting, self._waiting[worker] = self._waiting[worker], []
        for came, lasts in waiting:
            self._request(worker, now, came, lasts)
        self._watch(worker, now)

    def _watch(self, worker: int, now: float) -> None:
        slots = self.workers[worker]
        due = slots.due()
        if due is not None and not slots.asking and due < slots.wakes_at:
            slots.wakes_at = due
            self._at(max(now, due), partial(self._wake, worker, due))

    def _wake(self, worker: int, due: float, now: float) -> None:
        slots = self.workers[worker]
        if slots.wakes_at != due or not self._alive(worker, now):
            return
        slots.wakes_at = float("inf")
        if not slots.has_news(now):
            self._watch(worker, now)
        elif not slots.asking:
            self._ask(worker, now, ahead=False)
