"""Concurrency permits: each request in flight of a tenant holds one, over all its keys and all workers."""

from copy import copy
from dataclasses import dataclass
from math import inf
from typing import Any

import orjson

from gateway.throttle.clock import ServerClock
from gateway.throttle.leased_resource import CONCURRENCY, LeasedResource, LeaseRequest

PERMIT_TTL = 3.0  # seconds of a lease: permits of a worker that died are free again after that
_RENEW_AFTER = 0.9  # seconds: less than the recovery time of the circuit breaker
_IDLE_AFTER = 0.5  # seconds without a request after which no idle permit is kept
_PAUSE_FRACTION = 1 / 32  # of a typical request: how long a permit may be idle here, or unclaimed in Redis
_MIN_PAUSE, _MAX_PAUSE = 0.001, 0.02  # seconds
_BACKOFF_AFTER = 32  # refusals in a row after which the pauses grow
_SMOOTHING = 8  # requests over which their duration is averaged
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class PermitRequest(LeaseRequest):
    """A call of concurrency.lua."""

    number: int  # sequence number of this worker's calls for this tenant


class ConcurrencyPermits(LeasedResource[PermitRequest]):
    """The permits that this worker holds for one tenant.

    While Redis responds, the permits of all workers never exceed the limit: a request takes a permit only while the
    lease certainly lasts, and Redis counts the permit until the lease has certainly ended or was reported otherwise.
    When a worker stalls for longer than a lease, its requests in flight come on top of those that others begin
    meanwhile; it begins none before it has reported them.
    """

    __slots__ = (
        "_carried",
        "_carry_ends",
        "_clock",
        "_exhausted_until",
        "_idle_target",
        "_max_idle",
        "_number",
        "_pause_seconds",
        "_quiet_since",
        "_recently_used",
        "_refusals",
        "_renew_at",
        "_surplus_since",
        "_worker_id",
        "_workers",
        "_yields",
        "expires_at",
        "held",
        "limit",
        "refill_below",
        "share",
        "typical_seconds",
        "used",
    )

    def __init__(self, name: str, keys: tuple[str, ...], *, workers: int, worker_id: int) -> None:
        super().__init__(name, CONCURRENCY, keys)
        self.limit = 0
        self.share = 0  # of this worker without Redis
        self.used = 0  # requests in flight here
        self.held = 0  # permits leased, used or idle
        self.expires_at = 0.0  # seconds, monotonic: the lease certainly lasts until then
        self.typical_seconds = 0.0  # duration of a request
        self._workers = workers
        self._worker_id = worker_id
        self._number = 0
        self._clock = ServerClock()
        self._renew_at = inf
        self._exhausted_until = 0.0
        self._refusals = 0  # in a row
        self._recently_used = False  # since ``_quiet_since``
        self._quiet_since = 0.0
        self._surplus_since = 0.0  # more permits than ``_max_idle`` are idle since then
        self.refill_below = 0  # idle permits
        self._max_idle = self._idle_target = 0
        self._yields = 0  # permits that other workers need as soon as they are free
        self._pause_seconds = _MIN_PAUSE
        self._carried = 0
        self._carry_ends = 0.0

    def detach(self) -> None:
        super().detach()
        self._clock = copy(self._clock)

    def set_limit(self, limit: int) -> None:
        """The plan's limit from now on. Requests in flight beyond it may complete."""
        if limit < self.limit:
            # Redis must first weigh the permits in use against the new limit; the pending reply was not.
            self.expires_at = 0.0
            self._number += 1
        self.limit = limit
        self.share = limit // self._workers
        self._exhausted_until = 0.0

    # -- for a request

    def available(self, now: float, cost: int = 1) -> bool:  # noqa: ARG002 - a request takes one
        """A permit is free here."""
        return self.used < self.held and now < self.expires_at

    def exhausted(self, now: float, cost: int = 1) -> bool:  # noqa: ARG002
        """Redis had none a moment ago."""
        return now < self._exhausted_until

    def needs_refill(self, now: float) -> bool:
        """Few permits are free."""
        return self.held - self.used < self.refill_below and not self.call_pending and now >= self._exhausted_until

    def allowed(self, now: float) -> int:
        """Requests in flight allowed here without Redis: this worker's share, less what others may still hold."""
        return self._carried if now < self._carry_ends else self.share

    def acquire(self) -> None:
        """A request begins."""
        self.used += 1
        self._recently_used = True

    def release(self, now: float, seconds: float) -> bool:
        """A request that took ``seconds`` completes. True when more permits than allowed become idle by it."""
        self.used -= 1
        self.typical_seconds += (seconds - self.typical_seconds) / _SMOOTHING
        if self.held - self.used != self._max_idle + 1:
            return False
        self._surplus_since = now
        return True

    # -- calls to Redis

    def next_request(self, now: float, costs: list[int], *, ahead: bool = True) -> PermitRequest:
        """The next call: permits in use, idle permits to keep, and one for each waiting request."""
        worth_sending = bool(self.held or self.used or costs)
        idle = self._idle_to_keep(now, len(costs))
        self.held = min(self.held, self.used + idle)  # Redis may lease the others as soon as it has the report
        self._exhausted_until = 0.0
        urgent, extra = max(0, len(costs) - idle), max(0, self._idle_target - idle) if ahead and not costs else 0
        self._number += 1
        ttl, pause = int(PERMIT_TTL * _MICROSECONDS), int(self._pause() * _MICROSECONDS)
        call = [self._worker_id, self._number, self.limit, self.used, idle, urgent, extra, ttl, pause]
        argument = orjson.dumps(call)
        return PermitRequest((argument,), for_waiting=bool(costs), worth_sending=worth_sending, number=self._number)

    def apply_reply(self, reply: list[Any], *, sent: float, received: float, request: PermitRequest) -> None:
        """Store how many permits this worker holds from now on."""
        if request.number != self._number:
            return  # a later call was sent, and Redis honours the later one whichever arrives first
        server, self.held, free, self._idle_target, short = reply
        self._clock.observe(sent=sent, received=received, server=server)
        self.expires_at = self._clock.possibly_after(server + int(PERMIT_TTL * _MICROSECONDS))
        self._renew_at = sent + _RENEW_AFTER
        self._max_idle = 2 * self._idle_target
        self.refill_below = (self._idle_target + 1) // 2 if free > 0 else 0
        self._pause_seconds = min(max(_MIN_PAUSE, self.typical_seconds * _PAUSE_FRACTION), _MAX_PAUSE)
        self._yields = min(short, self.held)
        self._surplus_since = received  # the requests that waited for these permits begin in a moment
        self._set_exhausted(free, received)
        self._carry_over(free, received)

    def apply_failure(self, request: PermitRequest) -> None:
        """Nothing to undo: the next call reports the same state again."""

    @property
    def has_unreported(self) -> bool:
        """Redis may not know what is in use here."""
        return bool(self.used or self.held)

    def report_due(self) -> float | None:
        """When the lease must be renewed, or idle permits must be returned."""
        idle = self.held - self.used
        if not self.used and not self.held:
            return None
        soonest = self._renew_at
        if idle > 0:
            soonest = min(soonest, self._quiet_since + _IDLE_AFTER)
        if idle > self._max_idle:
            soonest = min(soonest, self._surplus_until())
        return soonest

    def report_pending(self, now: float) -> bool:
        """That time has come."""
        if now >= self._quiet_since + _IDLE_AFTER and self._recently_used:
            self._quiet_since, self._recently_used = now, False
        due = self.report_due()
        return due is not None and now >= due

    def is_idle(self) -> bool:
        """The state can be forgotten without loss."""
        return not (self.used or self.held or self.call_pending or self.waiting)

    def _idle_to_keep(self, now: float, waiting: int) -> int:
        idle = most = max(0, self.held - self.used) if now < self.expires_at else 0
        if idle > self._max_idle:
            overdue = now >= self._surplus_since + self._pause_seconds
            most = self._max_idle if overdue else max(self._max_idle, idle - self._yields)
        if not self._recently_used and now >= self._quiet_since + _IDLE_AFTER:
            most = 0
        return min(idle, max(most, waiting))

    def _surplus_until(self) -> float:
        return self._surplus_since + (0.0 if self._yields else self._pause_seconds)

    def _set_exhausted(self, free: int, now: float) -> None:
        if self.held >= self.limit:
            self._exhausted_until = self.expires_at  # no other worker has any
        elif free > 0:
            self._refusals, self._exhausted_until = 0, 0.0
        else:
            self._refusals += 1
            self._exhausted_until = now + self._pause()

    def _pause(self) -> float:
        """Seconds until the next call, with backoff: permits that stay in use must not be requested in a tight loop."""
        return min(self._pause_seconds * max(1.0, self._refusals / _BACKOFF_AFTER), _MAX_PAUSE)

    def _carry_over(self, free: int, now: float) -> None:
        """What all workers held at the last reply counts until their leases have ended."""
        self._carried = min(self.share, max(0, self.held + free // self._workers))
        self._carry_ends = now + PERMIT_TTL + _RENEW_AFTER
