"""A worker's own share of the limits, for when no Redis answers: all workers together give at most the limit."""

from collections import deque
from math import ceil, floor

from gateway.throttle.windows import GRAINS, KEYS_OWN, WindowSet

_COUNT, _OWED = 1, 2


class _Counter:
    """One window of one worker: buckets of a grain each, rounded against the caller as Redis's are."""

    __slots__ = ("_buckets", "_grain", "_total", "seconds")

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self._grain = seconds / GRAINS
        self._buckets: deque[list[int]] = deque()  # [number, count, not yet reported]
        self._total = 0

    def used(self, now: float) -> int:
        """What was spent in the window that ends now."""
        oldest = floor(now / self._grain) - GRAINS
        while self._buckets and self._buckets[0][0] <= oldest:
            self._total -= self._buckets.popleft()[_COUNT]
        return self._total

    def add(self, now: float, cost: int, *, owed: int) -> None:
        number = ceil(now / self._grain)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append([number, 0, 0])
        self._buckets[-1][_COUNT] += cost
        self._buckets[-1][_OWED] += owed
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
        """Seconds until the oldest of what counts has left; the whole window when nothing counts."""
        if not self.used(now):
            return float(self.seconds)
        return (self._buckets[0][0] + GRAINS) * self._grain - now

    def take_debts(self, now: float) -> list[int]:
        """``[age in microseconds, count, ...]`` of what Redis does not know, which from now on counts as told."""
        debts: list[int] = []
        self.used(now)
        for bucket in self._buckets:
            if bucket[_OWED]:
                debts += (max(0, int((now - bucket[0] * self._grain) * 1_000_000)), bucket[_OWED])
                bucket[_OWED] = 0
        return debts

    def owe_again(self) -> None:
        """The call that told it failed: to count twice errs on the safe side, to forget would not."""
        for bucket in self._buckets:
            bucket[_OWED] = bucket[_COUNT]


Counters = dict[tuple[str, int], _Counter]  # of one tenant, by owner and seconds: "" is the tenant, else the key


class Share:
    """The windows of one account counted in this process alone, each with its quota divided by the number of workers.

    A quota smaller than the number of workers gives nothing here: at most the limit is the promise (TH8). ``counters``
    are the tenant's, so that all its keys share them and a change of plan does not start them anew.
    """

    __slots__ = ("_allowed_then", "_carry_ends", "_counters", "_shares", "_windows", "owes", "workers")

    def __init__(self, windows: WindowSet, workers: int, counters: Counters, key: str = "") -> None:
        self._windows = windows
        self.workers = workers
        self._counters = tuple(
            counters.setdefault((key if each.scope == KEYS_OWN else "", each.seconds), _Counter(each.seconds))
            for each in windows.limits
        )
        self._shares = tuple(each.quota // workers for each in windows.limits)
        self._allowed_then = self._shares
        self._carry_ends = (0.0,) * len(self._shares)
        self.owes = False  # spent what Redis has not been told

    def carry(self, used: tuple[int, ...], now: float, last_end: float | None = None) -> None:
        """What all workers had used when Redis last answered counts for one window more, and for leases still held.

        ``last_end`` is when the last of this worker's own ends, if it has any.
        """
        limits = self._windows.limits
        self._allowed_then = tuple(
            (each.quota - count) // self.workers for each, count in zip(limits, used, strict=True)
        )
        held_until = max(now + self._windows.longest_hold, last_end or 0.0)
        self._carry_ends = tuple(held_until + each.seconds * (1 + 1 / GRAINS) for each in limits)

    def spend(self, now: float, cost: int) -> bool:
        """Spend from every window or from none."""
        for counter, allowed in zip(self._counters, self._allowed(now), strict=True):
            if counter.used(now) + cost > allowed:
                return False
        for counter in self._counters:
            counter.add(now, cost, owed=cost)
        self.owes = True
        return True

    def spend_told(self, now: float, cost: int) -> bool:
        """Count what Redis grants as well, and owes nothing to be told: no more than the share."""
        for counter, share in zip(self._counters, self._shares, strict=True):
            if counter.used(now) + cost > share:
                return False
        for counter in self._counters:
            counter.add(now, cost, owed=0)
        return True

    def remaining(self, now: float) -> tuple[int, ...]:
        """What this worker may still give, a number for each window."""
        pairs = zip(self._counters, self._allowed(now), strict=True)
        return tuple(max(0, allowed - counter.used(now)) for counter, allowed in pairs)

    def waits(self, now: float, cost: int) -> tuple[float, ...]:
        """Seconds until each window has room for ``cost``; 0 for those that have it now."""
        return tuple(
            0.0 if counter.used(now) + cost <= allowed else max(carried - now, counter.wait(now, share, cost))
            for counter, allowed, share, carried in zip(
                self._counters, self._allowed(now), self._shares, self._carry_ends, strict=True
            )
        )

    def resets(self, now: float) -> tuple[float, ...]:
        """Seconds until more can remain of each window."""
        return tuple(counter.next_change(now) for counter in self._counters)

    def take_debts(self, now: float) -> list[list[int]]:
        """What Redis must be told when it is back, a list for each window."""
        self.owes = False
        return [counter.take_debts(now) for counter in self._counters]

    def owe_again(self) -> None:
        """The debts that were taken may not have arrived."""
        self.owes = True
        for counter in self._counters:
            counter.owe_again()

    def idle(self, now: float) -> bool:
        """Nothing that was spent here counts any more."""
        return not any(counter.used(now) for counter in self._counters)

    def _allowed(self, now: float) -> tuple[int, ...]:
        if now >= self._carry_ends[-1] and now >= max(self._carry_ends):
            return self._shares
        return tuple(
            then if now < ends else share
            for then, share, ends in zip(self._allowed_then, self._shares, self._carry_ends, strict=True)
        )
