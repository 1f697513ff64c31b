"""A worker's own share of the limits, enforced without Redis: all shares together are at most the limit."""

from collections import deque
from copy import copy
from math import ceil, floor
from typing import Self

from gateway.throttle.copies import Copies
from gateway.throttle.windows import GRAINS, WindowSet

_COUNT, _UNREPORTED = 1, 2


class _Counter:
    """One window of one worker, in buckets of a grain each. Spending is dated to the end of its bucket, as in Redis."""

    __slots__ = ("_buckets", "_grain", "_total", "seconds", "users")

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self._grain = seconds / GRAINS
        self._buckets: deque[list[int]] = deque()  # [number, count, not yet reported]
        self._total = 0
        self.users = 0  # shares that count here

    def detached(self) -> Self:
        """A copy that shares nothing that changes."""
        other = copy(self)
        other.detach()
        return other

    def detach(self) -> None:
        """Share nothing that changes with the object that this is a copy of."""
        self._buckets = deque([*each] for each in self._buckets)

    def used(self, now: float) -> int:
        """What was spent in the window that ends now."""
        oldest = floor(now / self._grain) - GRAINS
        while self._buckets and self._buckets[0][0] <= oldest:
            self._total -= self._buckets.popleft()[_COUNT]
        return self._total

    def add(self, now: float, cost: int, *, unreported: int) -> None:
        number = ceil(now / self._grain)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append([number, 0, 0])
        self._buckets[-1][_COUNT] += cost
        self._buckets[-1][_UNREPORTED] += unreported
        self._total += cost

    def wait(self, now: float, allowed: int, cost: int) -> float:
        """Seconds until ``cost`` fits into ``allowed``; the whole window where it never does."""
        used = self.used(now)
        for number, count, _ in self._buckets:
            used -= count
            if used + cost <= allowed:
                return max(0.0, (number + GRAINS) * self._grain - now)
        return float(self.seconds)

    def next_change(self, now: float) -> float:
        """Seconds until the oldest bucket leaves the window; the whole window when nothing counts."""
        if not self.used(now):
            return float(self.seconds)
        return (self._buckets[0][0] + GRAINS) * self._grain - now

    def take_unreported(self, now: float) -> list[int]:
        """``[age in microseconds, count, ...]`` of what Redis does not know. It counts as reported from now on."""
        debts: list[int] = []
        self.used(now)
        for bucket in self._buckets:
            if bucket[_UNREPORTED]:
                debts += (max(0, int((now - bucket[0] * self._grain) * 1_000_000)), bucket[_UNREPORTED])
                bucket[_UNREPORTED] = 0
        return debts

    def restore_unreported(self) -> None:
        """The report failed. Counting twice errs on the safe side, forgetting would not."""
        for bucket in self._buckets:
            bucket[_UNREPORTED] = bucket[_COUNT]


Counters = dict[tuple[str, int], _Counter]  # of one tenant or source, by name of what is counted, and seconds


def detached_counters(counters: Counters) -> Counters:
    """Copies that share nothing that changes."""
    return Copies(counters, _Counter.detached)


class LocalShare:
    """The windows of one account counted in this process alone, each quota divided by the number of workers.

    A quota smaller than the number of workers admits nothing here: the limit is never exceeded (TH8). ``counters``
    belong to the tenant, so that all its keys share them and a change of plan does not reset them.
    """

    __slots__ = ("_carried", "_carry_ends", "_counters", "_known", "_shares", "_windows", "has_unreported", "workers")

    def __init__(self, windows: WindowSet, workers: int, counters: Counters) -> None:
        self._windows = windows
        self.workers = workers
        self._known = counters
        self._counters = tuple(
            counters.setdefault((each.counter, each.seconds), _Counter(each.seconds)) for each in windows.limits
        )
        for counter in self._counters:
            counter.users += 1
        self._shares = tuple(each.quota // workers for each in windows.limits)
        self._carried = self._shares
        self._carry_ends = (0.0,) * len(self._shares)
        self.has_unreported = False

    def detach(self) -> None:
        """Share nothing that changes with the object that this is a copy of."""
        self._counters = tuple(counter.detached() for counter in self._counters)
        names = ((each.counter, each.seconds) for each in self._windows.limits)
        self._known = dict(zip(names, self._counters, strict=True))

    def close(self, now: float) -> None:
        """Nothing is spent here any more. Counters that nobody uses are forgotten: every principal has one."""
        for limit, counter in zip(self._windows.limits, self._counters, strict=True):
            counter.users -= 1
            if not counter.users and not counter.used(now):
                del self._known[limit.counter, limit.seconds]

    def carry_over(self, used: tuple[int, ...], now: float, last_end: float | None = None) -> None:
        """Count what all workers had used at Redis's last reply, for one more window and the leases still held.

        ``last_end`` is when this worker's last lease ends, if it holds any.
        """
        limits = self._windows.limits
        self._carried = tuple((each.quota - count) // self.workers for each, count in zip(limits, used, strict=True))
        held_until = max(now + self._windows.max_hold, last_end or 0.0)
        self._carry_ends = tuple(held_until + each.seconds * (1 + 1 / GRAINS) for each in limits)

    def spend(self, now: float, cost: int) -> bool:
        """Spend from every window or from none; to be reported to Redis later."""
        for counter, allowed in zip(self._counters, self._allowed(now), strict=True):
            if counter.used(now) + cost > allowed:
                return False
        for counter in self._counters:
            counter.add(now, cost, unreported=cost)
        self.has_unreported = True
        return True

    def spend_granted(self, now: float, cost: int) -> bool:
        """Count what Redis has granted, at most the share. Nothing is left to report."""
        for counter, share in zip(self._counters, self._shares, strict=True):
            if counter.used(now) + cost > share:
                return False
        for counter in self._counters:
            counter.add(now, cost, unreported=0)
        return True

    def remaining(self, now: float) -> tuple[int, ...]:
        """What this worker may still admit, for each window."""
        pairs = zip(self._counters, self._allowed(now), strict=True)
        return tuple(max(0, allowed - counter.used(now)) for counter, allowed in pairs)

    def waits(self, now: float, cost: int) -> tuple[float, ...]:
        """Seconds until each window has room for ``cost``; 0 for those that have it now."""
        return tuple(
            0.0 if counter.used(now) + cost <= allowed else max(carry_end - now, counter.wait(now, share, cost))
            for counter, allowed, share, carry_end in zip(
                self._counters, self._allowed(now), self._shares, self._carry_ends, strict=True
            )
        )

    def resets(self, now: float) -> tuple[float, ...]:
        """Seconds until each window has more remaining."""
        return tuple(counter.next_change(now) for counter in self._counters)

    def take_unreported(self, now: float) -> list[list[int]]:
        """What to report to Redis, a list for each window."""
        self.has_unreported = False
        return [counter.take_unreported(now) for counter in self._counters]

    def restore_unreported(self) -> None:
        """The report may not have arrived."""
        self.has_unreported = True
        for counter in self._counters:
            counter.restore_unreported()

    def is_idle(self, now: float) -> bool:
        """Nothing that was spent here counts any more."""
        return not any(counter.used(now) for counter in self._counters)

    def _allowed(self, now: float) -> tuple[int, ...]:
        if now >= self._carry_ends[-1] and now >= max(self._carry_ends):
            return self._shares
        return tuple(
            carried if now < end else share
            for carried, share, end in zip(self._carried, self._shares, self._carry_ends, strict=True)
        )
