"""Many workers in virtual time: the real accounts and the real script in a real Redis, with the test's own clock.

Nothing sleeps, so that seconds of load take a fraction of a second, and the seed alone decides what happens when:
a busy machine changes nothing.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import redis

from gateway.throttle.account import Account, TokenRequest
from gateway.throttle.leased_resource import GRANT, ThrottleStats
from gateway.throttle.local_share import LocalShare
from gateway.throttle.windows import window_set
from tenants.principal import Window

_START = 1000.0  # our clock, seconds
_SERVER_AHEAD = 1_795_000_000.0  # seconds that Redis's clock is ahead of ours
_FLAT_OUT = 0.0005  # seconds from a refusal to the next request of a worker under unlimited load
_AT_ONCE = 0.00002  # and from an admission
_TIME = "local time = redis.call('TIME')"
_STORES = ""  # in place of the argument by which a script stores nothing
_GIVEN_TIME = "local time = {ARGV[4], ARGV[5]}"


@dataclass(slots=True)
class Load:
    """The load on the workers, and the faults."""

    windows: Sequence[tuple[str, int, int]]  # name, quota, seconds
    rates: Sequence[float]  # requests a second that each worker sees; 0 is unlimited
    seconds: float
    seed: int = 1
    trip: Callable[[random.Random], float] = lambda rng: rng.uniform(0.0002, 0.0008)  # seconds of a call
    killed: dict[int, float] = field(default_factory=dict)  # worker: seconds after the start
    emptied: float | None = None  # seconds after the start at which Redis loses its data
    set_back: tuple[float, float] | None = None  # when its clock is set back, and by how much
    evenly: bool = False  # arrivals at equal intervals; otherwise Poisson


@dataclass(slots=True)
class Result:
    """Moments are seconds after the start."""

    admitted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)

    def rate(self, begin: float, end: float) -> float:
        """Admissions a second between two moments."""
        return sum(begin <= moment < end for moment in self.admitted) / (end - begin)

    def admitted_per_call(self, begin: float) -> float:
        """From this moment on, when the rates are known."""
        calls = sum(moment >= begin for moment in self.calls)
        return sum(moment >= begin for moment in self.admitted) / max(1, calls)


class Simulation:
    """Runs one load."""

    def __init__(self, client: redis.Redis, load: Load) -> None:
        client.flushall()
        assert _TIME in GRANT.text
        self._script = client.register_script(GRANT.text.replace(_TIME, _GIVEN_TIME))
        self._client = client
        self._load = load
        self._rng = random.Random(load.seed)  # noqa: S311 - arrivals, not secrets
        self._accounts = [self._account(number) for number, _ in enumerate(load.rates)]
        self._waiting = [0 for _ in load.rates]
        self._flushing = [False for _ in load.rates]
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = itertools.count()
        self.result = Result()

    def run(self) -> Result:
        """Run to the end."""
        for worker, rate in enumerate(self._load.rates):
            first = self._gap(rate) if rate else _AT_ONCE * worker
            self._at(_START + first, partial(self._arrive, worker))
        if self._load.emptied is not None:
            self._at(_START + self._load.emptied, lambda _: self._empty())
        end = _START + self._load.seconds
        while self._events and self._events[0][0] < end:
            now, _, action = heapq.heappop(self._events)
            action(now)
        return self.result

    def _account(self, number: int) -> Account:
        windows = window_set(tuple(Window(*each) for each in self._load.windows))
        assert windows is not None
        share = LocalShare(windows, len(self._load.rates), {})
        keys, stats = ("simulated:{t}",), ThrottleStats()
        return Account("t", "t", keys=keys, windows=windows, share=share, worker_id=number + 1, stats=stats)

    def _at(self, moment: float, action: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._number), action))

    def _gap(self, rate: float) -> float:
        return 1 / rate if self._load.evenly else self._rng.expovariate(rate)

    def _empty(self) -> None:
        self._client.flushdb()

    def _alive(self, worker: int, now: float) -> bool:
        return now - _START < self._load.killed.get(worker, float("inf"))

    def _arrive(self, worker: int, now: float) -> None:
        if not self._alive(worker, now):
            return
        admitted = self._request(worker, now)
        rate = self._load.rates[worker]
        gap = self._gap(rate) if rate else (_AT_ONCE if admitted else _FLAT_OUT)
        self._at(now + gap, lambda later: self._arrive(worker, later))

    def _request(self, worker: int, now: float) -> bool:
        """As the storage and the lease manager do it."""
        account = self._accounts[worker]
        if account.available(now, 1):
            account.leases.spend(now, 1)
            self.result.admitted.append(now - _START)
            if account.leases.tokens <= account.refill_below and account.needs_refill(now):
                self._ask(worker, now)
            return True
        if account.exhausted(now, 1):
            account.refused += 1
            self.result.refused.append(now - _START)
            return False
        self._waiting[worker] += 1
        if not account.call_pending:
            self._ask(worker, now)
        return True

    def _ask(self, worker: int, now: float) -> None:
        account = self._accounts[worker]
        request = account.next_request(now, [1] * self._waiting[worker])
        if request.worth_sending:
            account.call_pending = True
            self._send(worker, now, request)

    def _send(self, worker: int, now: float, request: TokenRequest) -> None:
        account, trip = self._accounts[worker], self._load.trip(self._rng)
        self.result.calls.append(now - _START)

        def arrive(there: float) -> None:
            seconds, microseconds = divmod(int(self._server(there) * 1_000_000), 1_000_000)
            reply = self._script(keys=account.keys, args=[*request.arguments, _STORES, seconds, microseconds])
            self._at(now + trip, lambda later: self._answer(worker, reply, now, later, request))

        self._at(now + trip * self._rng.random(), arrive)

    def _server(self, now: float) -> float:
        set_back, by = self._load.set_back or (float("inf"), 0.0)
        return now + _SERVER_AHEAD - (by if now - _START >= set_back else 0.0)

    def _answer(self, worker: int, reply: list[Any], sent: float, now: float, request: TokenRequest) -> None:
        if not self._alive(worker, now):
            return
        account = self._accounts[worker]
        account.apply_reply(reply, sent=sent, received=now, request=request)
        if request.for_waiting or account.call_pending:
            account.call_pending = False
            waiting, self._waiting[worker] = self._waiting[worker], 0
            for _ in range(waiting):
                self._request(worker, now)
        self._flush_later(worker, now)

    def _flush_later(self, worker: int, now: float) -> None:
        end = self._accounts[worker].leases.last_end
        if end is not None and not self._flushing[worker]:
            self._flushing[worker] = True
            self._at(max(now, end), lambda later: self._flush(worker, later))

    def _flush(self, worker: int, now: float) -> None:
        self._flushing[worker] = False
        account = self._accounts[worker]
        account.leases.refresh(now)
        if account.leases.last_end is not None:
            self._flush_later(worker, now)
        elif account.leases.has_reports and self._alive(worker, now):
            self._send(worker, now, account.next_request(now, [], ahead=False))
