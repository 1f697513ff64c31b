"""The rate limit state, in this worker, of all requests that are charged to the same windows."""

from copy import copy
from dataclasses import dataclass
from math import ceil, exp
from typing import Any

import orjson

from gateway.throttle.clock import ServerClock
from gateway.throttle.concurrency import ConcurrencyPermits
from gateway.throttle.leased_resource import GRANT, LeasedResource, LeaseRequest, ThrottleStats
from gateway.throttle.leases import Grant, TokenLeases
from gateway.throttle.local_share import LocalShare
from gateway.throttle.windows import LEASE_AHEAD, LEASE_TTL, Limit, WindowSet
from tenants.principal import Window

_MICROSECONDS = 1_000_000
_MIN_INTERVAL = 0.0001  # seconds: a rate over less is meaningless
_RATE_SMOOTHING = 0.5  # seconds: time constant of the measured rate, so that a single burst does not raise it
_LATENESS_FACTOR = 4  # how many times longer the next token lives after one arrived too late to be spent
_NEVER = -1
_LONGEST_LATENESS = 1_000_000  # so that the window bounds the TTL
_ROUND_TRIP = 0.01  # seconds of demand that must still be available when the next lease is requested
_RESERVE_TOKENS = 50  # requests that one lease should serve, however low the rate
_MAX_LEASE_TTL = 30.0  # seconds
_MIN_RATE = 0.1  # requests a second, assumed for a tenant whose rate is not known yet
_RESERVE_FRACTION = 50  # reserves of all workers are at most this fraction of the smallest quota


@dataclass(frozen=True, slots=True)
class TokenRequest(LeaseRequest):
    """A call of grant.lua, and what a failure must undo."""

    ttl: int  # microseconds
    cost: int  # the smallest cost that a request waits for
    reports_debts: bool


@dataclass(frozen=True, slots=True)
class WindowState:
    """A window as it is known at a moment."""

    limit: Limit
    remaining: int
    reset: float  # seconds until more remains, at most those of the window


class Account(LeasedResource[TokenRequest]):
    """Leased tokens, local share, exhaustion and header fields of one set of windows.

    All requests under a tenant's plan share one, but those of keys with limits: of these the keys that the same limits
    bind share one. So do the management requests of one family, and the requests of one source to one public route.
    """

    __slots__ = (
        "_born",
        "_clock",
        "_exhausted_for",
        "_granted",
        "_lateness",
        "_rate",
        "_remaining",
        "_requested_at",
        "_requested_demand",
        "_reserve",
        "_resets",
        "_sufficient",
        "_template",
        "_tightest",
        "_used_by_all",
        "_worker_id",
        "exhausted_until",
        "key_windows",
        "leases",
        "max_cost",
        "owner",
        "permits",
        "plan",
        "policy_field",
        "quota",
        "recently_used",
        "refill_below",
        "refused",
        "replied_at",
        "share",
        "windows",
        "windows_argument",
    )

    def __init__(
        self,
        name: str,
        owner: str,
        *,
        keys: tuple[str, ...],
        windows: WindowSet,
        share: LocalShare,
        worker_id: int,
        stats: ThrottleStats,
    ) -> None:
        super().__init__(name, GRANT, keys)
        self.windows = windows
        self.owner = owner  # whose counters these are: a tenant's hexadecimal id, or a source
        self.plan: object = None  # compared by identity: a changed plan is another object
        self.key_windows: tuple[Window, ...] = ()
        self.quota = windows.quota
        self.max_cost = windows.quota  # of one request: no wait helps beyond it
        self.windows_argument = windows.script_argument()
        self.policy_field = windows.policy_field
        self.share = share
        self._clock = ServerClock()
        self._reserve = windows.quota // (_RESERVE_FRACTION * share.workers)
        self.leases = TokenLeases(self._clock, windows.grain, stats, reserve=self._reserve)
        self.refill_below = _NEVER  # number of tokens
        self.exhausted_until = 0.0  # seconds, monotonic: Redis has nothing to grant before
        self.refused = 0  # cost of refused requests: they count as demand
        self.recently_used = True  # since the last sweep
        self.permits: ConcurrencyPermits | None = None  # None: the plan does not limit concurrency
        self.replied_at: float | None = None  # seconds, monotonic: when Redis last said what remains
        self._exhausted_for = 1  # costs from this one on are exhausted
        self._granted = 0  # tokens, by the last reply
        self._worker_id = worker_id  # identifies this worker in grant.lua
        self._requested_at = float("-inf")
        self._requested_demand = 0
        self._lateness = 1
        self._rate = 0.0  # requests a second, admitted or not
        self._sufficient = True  # by the last reply: supply meets the demand of all workers
        self._born: list[int] = []
        self._tightest = min(range(len(windows.limits)), key=lambda at: windows.limits[at].quota)
        self._set_state(tuple(limit.quota for limit in windows.limits), tuple(0.0 for _ in windows.limits), 0.0)

    def detach(self) -> None:
        super().detach()
        self._clock = copy(self._clock)
        self.leases, self.share = copy(self.leases), copy(self.share)
        self.leases.detach(self._clock)
        self.share.detach()
        self.permits = self.permits and self.permits.rehearsal()
        self.refill_below = _NEVER
        # What Redis says that it would grant must not expire here: it would be reported as returned.
        self._lateness = _LONGEST_LATENESS

    # -- for a request

    def available(self, now: float, cost: int) -> bool:
        """``cost`` tokens can be spent at once."""
        leases = self.leases
        if now >= leases.refresh_at:
            leases.refresh(now)
        return leases.tokens >= cost

    def exhausted(self, now: float, cost: int) -> bool:
        """No tokens can be had before a known moment. Redis does not count tokens that are about to be returned."""
        closed = now < self.exhausted_until and cost >= self._exhausted_for and not self.leases.unreported_returns
        return closed or (not self._sufficient and self.leases.next_start is not None)

    def needs_refill(self, now: float) -> bool:
        """So few tokens are left, or promised, that more should be leased ahead of need."""
        few = self.leases.tokens + self.leases.future_tokens <= self.refill_below
        return few and not self.call_pending and not self.exhausted(now, 1)

    def used(self) -> int:
        """How much of the smallest quota is used, as far as this worker knows."""
        return self._used_by_all - self.leases.tokens

    def wait(self, now: float) -> float:
        """Seconds until tokens can be had."""
        start = self.leases.next_start
        return max(0.0, (self.exhausted_until if start is None else min(start, self.exhausted_until)) - now)

    def exhausted_window(self, cost: int) -> Limit:
        """The window that refuses a request of this cost; of several the one that resets last."""
        states = list(zip(self._remaining, self._resets, self.windows.limits, strict=True))
        exhausted = [state for state in states if state[0] < cost]
        if exhausted:
            return max(exhausted, key=_reset_of)[2]
        return min(states, key=_remaining_of)[2]  # what remains is leased to other workers

    def states(self, now: float, *, by_share: bool) -> list[WindowState]:
        """What remains of each window as far as this worker knows, or of this worker's own share."""
        if by_share:
            remaining, resets = self.share.remaining(now), self.share.resets(now)
        else:
            remaining = tuple(left + self.leases.tokens for left in self._remaining)
            resets = tuple(max(0.0, moment - now) for moment in self._resets)
        windows = zip(self.windows.limits, remaining, resets, strict=True)
        return [WindowState(limit, left, min(limit.seconds, reset)) for limit, left, reset in windows]

    # -- header fields

    def limit_field(self) -> tuple[bytes, bytes]:
        """``RateLimit`` of a request that leased tokens admitted."""
        tokens = self.leases.tokens
        return b"ratelimit", self._template % tuple([remaining + tokens for remaining in self._remaining])

    def refused_field(self, now: float) -> tuple[bytes, bytes]:
        """``RateLimit`` of a request that was refused while Redis is reachable."""
        resets = tuple(moment - now for moment in self._resets)
        return b"ratelimit", self.windows.limit_template(resets) % self._remaining

    def share_field(self, now: float) -> tuple[bytes, bytes]:
        """``RateLimit`` while this worker enforces its own share."""
        return b"ratelimit", self.windows.limit_template(self.share.resets(now)) % self.share.remaining(now)

    # -- calls to Redis

    def next_request(self, now: float, costs: list[int], *, ahead: bool = True) -> TokenRequest:
        """The next call: tokens for waiting requests of these costs, more as the rate suggests, and reports."""
        self.leases.refresh(now)
        need = max(1, min(costs, default=1) - self.leases.tokens)
        urgent = max(need, sum(costs) - self.leases.tokens) if costs else 0
        extra = self._prefetch(now, urgent) if ahead else 0
        ttl = int(self._lease_ttl(extra) * _MICROSECONDS)
        debts = self.share.take_unreported(now) if self.share.has_unreported else []
        reports = [number for report in self.leases.take_reports() for number in report]
        batch, rate = self.windows.max_batch, max(1, int(self._rate))
        argument = orjson.dumps([urgent, extra, batch, need, ttl, self._worker_id, rate, self._born, reports, debts])
        return TokenRequest(
            (self.windows_argument, argument),
            for_waiting=urgent > 0,
            worth_sending=bool(urgent or extra or reports or debts),
            ttl=ttl,
            cost=min(costs, default=1),
            reports_debts=bool(debts),
        )

    def apply_reply(self, reply: list[Any], *, sent: float, received: float, request: TokenRequest) -> None:
        """Store the tokens that the script has granted, or when it will grant more."""
        server, again, self._born, granted, remaining, resets, sufficient = reply
        self._sufficient = bool(sufficient)
        self._clock.observe(sent=sent, received=received, server=server)
        self.replied_at = received
        self.leases.add(_grants(granted), server=server, until=server + request.ttl, now=received)
        self._set_state(tuple(remaining), tuple(reset / _MICROSECONDS for reset in resets), received)
        quotas = (limit.quota for limit in self.windows.limits)
        used = tuple(quota - left for quota, left in zip(quotas, remaining, strict=True))
        self.share.carry_over(used, received, self.leases.last_end)
        self._set_exhausted(server, again, received)
        self._exhausted_for = request.cost
        self._granted = sum(granted[1::2])
        self._schedule_refill(granted, request)

    def apply_failure(self, request: TokenRequest) -> None:
        """The call failed. Its reports are not repeated: tokens that keep a late date err on the safe side."""
        if request.reports_debts:
            self.share.restore_unreported()

    @property
    def has_unreported(self) -> bool:
        """Tokens of the local share were spent."""
        return self.share.has_unreported

    def report_due(self) -> float | None:
        """When the last lease ends. Few unspent tokens are not worth a call of their own."""
        return self.leases.last_end if self._granted > max(1, self._reserve) else None

    def report_pending(self, now: float) -> bool:
        """The last lease has ended, and unspent tokens were not reported."""
        self.leases.refresh(now)
        return self.leases.last_end is None and self.leases.has_reports

    def retire(self, now: float) -> None:
        """Stop spending: the plan has changed or the worker stops."""
        self.leases.return_all(now)
        self.refill_below = _NEVER

    def is_idle(self, now: float) -> bool:
        """The account can be forgotten without loss."""
        self.leases.refresh(now)
        held = self.leases.tokens or self.leases.future_tokens
        busy = held or self.call_pending or self.waiting or self.share.has_unreported
        return not busy and self.share.is_idle(now)

    def _prefetch(self, now: float, urgent: int) -> int:
        """Tokens to lease ahead of need: what the rate will use, but never a sudden jump, and none of a small quota."""
        demand = self.leases.spent + self.refused + urgent
        since, elapsed = demand - self._requested_demand, max(now - self._requested_at, _MIN_INTERVAL)
        self._requested_at, self._requested_demand = now, demand
        self._rate += (since / elapsed - self._rate) * (1 - exp(-elapsed / _RATE_SMOOTHING))
        target = max(min(int(self._rate * LEASE_AHEAD), self.windows.max_ahead), self._reserve_target())
        return max(0, target - urgent - self.leases.tokens - self.leases.future_tokens) if target > 1 else 0

    def _reserve_target(self) -> int:
        """Tokens to keep for a long time, so that a tenant with few requests does not call Redis for each of them."""
        return min(_RESERVE_TOKENS, self._reserve) if self._sufficient else 0

    def _lease_ttl(self, extra: int) -> float:
        """Lease TTL in seconds: twice the time that the current rate needs to use the tokens."""
        if not extra:
            return min(self.windows.grain * self._lateness, self.windows.shortest / 2)
        return max(LEASE_TTL, min(_MAX_LEASE_TTL, 2 * extra / max(self._rate, _MIN_RATE)))

    def _set_exhausted(self, server: int, again: int, now: float) -> None:
        if again == 0:
            self.exhausted_until = 0.0
        else:
            never = now + self.windows.shortest
            self.exhausted_until = self._clock.certainly_after(server + again) if again > 0 else never

    def _schedule_refill(self, granted: list[int], request: TokenRequest) -> None:
        """Set when to lease ahead of need, and whether this reply arrived too late to be of use."""
        tokens = self.leases.tokens + self.leases.future_tokens
        ahead = tokens > 1 and self.windows.max_ahead > 0
        self.refill_below = min(ceil(self._rate * _ROUND_TRIP), tokens // 2) if ahead else _NEVER
        too_late = request.for_waiting and bool(granted) and not tokens
        self._lateness = self._lateness * _LATENESS_FACTOR if too_late else 1

    def _set_state(self, remaining: tuple[int, ...], resets: tuple[float, ...], now: float) -> None:
        self._remaining = remaining
        self._resets = tuple(now + reset for reset in resets)
        self._template = self.windows.limit_template(resets)
        self._used_by_all = self.quota - remaining[self._tightest]


def _grants(flat: list[int]) -> list[Grant]:
    return [Grant(*flat[at : at + 2]) for at in range(0, len(flat), 2)]


def _remaining_of(state: tuple[int, float, Limit]) -> int:
    return state[0]


def _reset_of(state: tuple[int, float, Limit]) -> float:
    return state[1]


def whole_seconds(wait: float) -> int:
    """An integer ``Retry-After`` (RFC 9110 section 10.2.3), rounded up."""
    return max(1, ceil(wait))
