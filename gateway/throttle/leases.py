"""Tokens leased from Redis: spent in this worker, reported or returned with the next call."""

from dataclasses import dataclass, replace
from math import inf
from typing import NamedTuple

from gateway.throttle.clock import ServerClock
from gateway.throttle.leased_resource import ThrottleStats
from gateway.throttle.windows import LEASE_TTL

RETURNED = 0  # ``spent`` of a report of tokens that were not spent


class Grant(NamedTuple):
    """Tokens that the script has granted, valid from ``start`` on Redis's clock, in microseconds."""

    start: int
    tokens: int


class SpendReport(NamedTuple):
    """Tokens dated ``until`` were spent by ``spent`` (both microseconds), or were returned when that is 0."""

    until: int
    spent: int
    tokens: int


@dataclass(slots=True)
class _Lease:
    start: float  # seconds, monotonic: Redis's clock has certainly reached the start of the grant
    end: float  # and has certainly not reached its end
    until: int  # Redis's clock, microseconds
    left: int


class TokenLeases:
    """The tokens that one worker holds for one account.

    ``tokens`` may be spent until ``refresh_at``; then ``refresh`` must be called first. Between two refreshes spending
    is one comparison and one subtraction, and all of it is reported as spent at ``refresh_at``, or at the refresh if
    that is earlier: never too early, and at most one tick too late. While at most ``reserve`` tokens are held, and for
    long, it is reported as spent at the end of the lease: so few tokens matter little to other workers, and the
    requests of a tenant with a low rate need no refresh.
    """

    __slots__ = (
        "_active",
        "_clock",
        "_counted",
        "_future",
        "_reports",
        "_reserve",
        "_spent",
        "_stats",
        "_steady_until",
        "_tick",
        "refresh_at",
        "tokens",
        "unreported_returns",
    )

    def __init__(self, clock: ServerClock, tick: float, stats: ThrottleStats, *, reserve: int = 0) -> None:
        self.tokens = 0
        self.refresh_at = inf
        self.unreported_returns = 0  # unspent tokens that Redis still counts
        self._clock = clock
        self._tick = tick  # seconds
        self._reserve = reserve
        self._stats = stats
        self._active: list[_Lease] = []  # sorted by end
        self._future: list[_Lease] = []  # sorted by start
        self._steady_until = inf  # no lease starts or ends before
        self._counted = 0  # tokens at the last refresh
        self._spent = 0
        self._reports: list[SpendReport] = []

    def spend(self, now: float, cost: int) -> bool:
        """Spend ``cost`` tokens if that many are available."""
        if now >= self.refresh_at:
            self.refresh(now)
        if self.tokens < cost:
            return False
        self.tokens -= cost
        return True

    def add(self, grants: list[Grant], *, server: int, until: int, now: float) -> None:
        """Add the grants of a call that read ``server`` on Redis's clock. Those that arrived too late are returned.

        ``now`` is the present moment: nothing was spent later.
        """
        self._account_for_spent(now)
        end = self._clock.possibly_after(until)
        for start, count in grants:
            begun = now if start <= server else self._clock.certainly_after(start)
            self._future.append(_Lease(begun, end, until, count))
            self._stats.leased += count
        self._future.sort(key=_by_start)
        self._advance(now)

    def refresh(self, now: float) -> None:
        """Start and end leases, and record what was spent before.

        ``now`` is the present moment, or at least ``refresh_at``: nothing was spent later.
        """
        self._account_for_spent(now)
        if now < self._steady_until and self._active and self._active[0].left:
            self._set_refresh(now)
        else:
            self._advance(now)

    @property
    def future_tokens(self) -> int:
        """Tokens that may be spent later."""
        return sum(lease.left for lease in self._future)

    @property
    def next_start(self) -> float | None:
        """When the next of them may be spent."""
        return self._future[0].start if self._future else None

    @property
    def last_end(self) -> float | None:
        """When the last lease ends; None when none is held."""
        return max((lease.end for lease in (*self._active, *self._future)), default=None)

    @property
    def spent(self) -> int:
        """Total of tokens spent."""
        return self._spent + self._counted - self.tokens

    @property
    def has_reports(self) -> bool:
        """There is something to report to Redis."""
        return bool(self._reports)

    def take_reports(self) -> list[SpendReport]:
        """The reports to send, once: a repeated one would return tokens that are spent."""
        reports, self._reports, self.unreported_returns = self._reports, [], 0
        return reports

    def detach(self, clock: ServerClock) -> None:
        """Share nothing that changes with the object that this is a copy of."""
        self._clock, self._stats = clock, ThrottleStats()
        self._active = [replace(each) for each in self._active]
        self._future = [replace(each) for each in self._future]
        self._reports = list(self._reports)

    def return_all(self, now: float) -> None:
        """Return every token: the plan has changed or the worker stops."""
        self._account_for_spent(now)
        for lease in self._active:  # promised tokens cannot be returned before they start; they expire
            self._return(lease)
        self._active, self._future = [], []
        self._recount(inf)

    def _account_for_spent(self, now: float) -> None:
        """Subtract what was spent since the last refresh from the leases that end first."""
        spent, self._counted = self._counted - self.tokens, self.tokens
        if not spent:
            return
        self._spent += spent
        self._stats.spent += spent
        latest = self._clock.latest(min(self.refresh_at, now))
        for lease in self._active:
            taken = min(spent, lease.left)
            lease.left -= taken
            spent -= taken
            self._report(lease.until, latest, taken)
            if not spent:
                return

    def _report(self, until: int, latest: int, count: int) -> None:
        """Short leases are not worth a report: their date is as good as the moment of spending."""
        if count and until - latest > self._tick * 1_000_000:
            self._reports.append(SpendReport(until, latest, count))

    def _advance(self, now: float) -> None:
        while self._future and self._future[0].start <= now:
            self._start(self._future.pop(0))
        while self._active and (self._active[0].end <= now or not self._active[0].left):
            self._return(self._active.pop(0))
        self._recount(now)

    def _start(self, lease: _Lease) -> None:
        for other in self._active:
            if other.until == lease.until:
                other.left += lease.left
                return
        self._active.append(lease)
        self._active.sort(key=_by_end)

    def _return(self, lease: _Lease) -> None:
        if lease.left:
            self._reports.append(SpendReport(lease.until, RETURNED, lease.left))
            self._stats.returned += lease.left
            self.unreported_returns += lease.left

    def _recount(self, now: float) -> None:
        self.tokens = self._counted = sum(lease.left for lease in self._active)
        self._steady_until = min(
            self._active[0].end if self._active else inf, self._future[0].start if self._future else inf
        )
        self._set_refresh(now)

    def _set_refresh(self, now: float) -> None:
        in_reserve = self.tokens <= self._reserve and self._steady_until > now + LEASE_TTL
        idle = in_reserve or not self.tokens  # nothing is spent that must be dated soon
        self.refresh_at = self._steady_until if idle else min(now + self._tick, self._steady_until)


def _by_start(lease: _Lease) -> float:
    return lease.start


def _by_end(lease: _Lease) -> float:
    return lease.end
