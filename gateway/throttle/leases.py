"""Tokens at hand: leased from Redis, spent here, reported and given back with the next call."""

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from gateway.throttle.clock import ServerClock
from gateway.throttle.figures import Figures
from gateway.throttle.windows import LEASE_LIFE

GIVEN_BACK = 0  # a move's ``spent`` when its tokens were not spent


class Grant(NamedTuple):
    """As the script grants it: tokens that may be spent from a moment of Redis's clock on, in microseconds."""

    begins: int
    tokens: int


class Move(NamedTuple):
    """A report: tokens dated ``until`` were spent by ``spent`` (both microseconds), or given back when that is 0."""

    until: int
    spent: int
    tokens: int


@dataclass(slots=True)
class _Lease:
    begins: float  # our monotonic clock, seconds: Redis's has surely reached the grant's begin
    ends: float  # and has surely not reached its end
    until: int  # Redis's clock, microseconds
    left: int


class Leases:
    """The tokens that one worker holds for one account.

    ``tokens`` may be spent until the moment ``edge``; then ``turn`` must be called first. Between two turns spending is
    one comparison and one subtraction, and all of it is reported as spent by the edge, or by the turn if that comes
    before: late enough to be true, and at most a tick too late. While no more than ``spare`` are held, and for long, it
    is as late as they may be spent: others hardly miss so few, and the requests of a quiet tenant need no turn.
    """

    __slots__ = (
        "_active",
        "_clock",
        "_coming",
        "_counted",
        "_figures",
        "_moves",
        "_spare",
        "_spent",
        "_steady_until",
        "_tick",
        "edge",
        "returned",
        "tokens",
    )

    def __init__(self, clock: ServerClock, tick: float, figures: Figures, *, spare: int = 0) -> None:
        self.tokens = 0
        self.edge = inf
        self.returned = 0  # tokens that were not spent, of which Redis has not been told
        self._clock = clock
        self._tick = tick  # seconds
        self._spare = spare
        self._figures = figures
        self._active: list[_Lease] = []  # the next to end first
        self._coming: list[_Lease] = []  # the next to begin first
        self._steady_until = inf  # until then no lease begins or ends
        self._counted = 0  # tokens at the last turn
        self._spent = 0
        self._moves: list[Move] = []

    def spend(self, now: float, cost: int) -> bool:
        """Spend ``cost`` tokens if that many are at hand."""
        if now >= self.edge:
            self.turn(now)
        if self.tokens < cost:
            return False
        self.tokens -= cost
        return True

    def add(self, grants: list[Grant], *, server: int, until: int, now: float) -> None:
        """Take in what a call has granted that read ``server`` on Redis's clock. What came too late is given back.

        ``now`` is the present moment: nothing was spent later.
        """
        self._account_for_spent(now)
        ends = self._clock.possibly_after(until)
        for begins, count in grants:
            begun = now if begins <= server else self._clock.certainly_after(begins)
            self._coming.append(_Lease(begun, ends, until, count))
            self._figures.leased += count
        self._coming.sort(key=_by_begin)
        self._advance(now)

    def turn(self, now: float) -> None:
        """End and begin leases as ``now`` asks, and note what was spent before.

        ``now`` is the present moment, or at least the edge: nothing was spent later.
        """
        self._account_for_spent(now)
        if now < self._steady_until and self._active and self._active[0].left:
            self._set_edge(now)
        else:
            self._advance(now)

    @property
    def coming(self) -> int:
        """Tokens that may be spent later."""
        return sum(lease.left for lease in self._coming)

    @property
    def next_begin(self) -> float | None:
        """When the next of them may be spent."""
        return self._coming[0].begins if self._coming else None

    @property
    def last_end(self) -> float | None:
        """When the last lease has ended; None when none is held."""
        return max((lease.ends for lease in (*self._active, *self._coming)), default=None)

    @property
    def spent(self) -> int:
        """Tokens spent since the beginning."""
        return self._spent + self._counted - self.tokens

    @property
    def has_moves(self) -> bool:
        """There is something to tell Redis."""
        return bool(self._moves)

    def take_moves(self) -> list[Move]:
        """What Redis should be told, once: a move told twice would give tokens back that are spent."""
        moves, self._moves, self.returned = self._moves, [], 0
        return moves

    def give_all_back(self, now: float) -> None:
        """Nothing more will be spent here: the plan has changed, or the worker ends."""
        self._account_for_spent(now)
        for lease in self._active:  # what is promised for later cannot be taken back before: it ends with its life
            self._give_back(lease)
        self._active, self._coming = [], []
        self._recount(inf)

    def _account_for_spent(self, now: float) -> None:
        """Take what was spent since the last turn off the leases that end first."""
        spent, self._counted = self._counted - self.tokens, self.tokens
        if not spent:
            return
        self._spent += spent
        self._figures.spent += spent
        latest = self._clock.latest(min(self.edge, now))
        for lease in self._active:
            taken = min(spent, lease.left)
            lease.left -= taken
            spent -= taken
            self._note(lease.until, latest, taken)
            if not spent:
                return

    def _note(self, until: int, latest: int, count: int) -> None:
        """Short leases are not worth a report: their date is as good as the moment of spending."""
        if count and until - latest > self._tick * 1_000_000:
            self._moves.append(Move(until, latest, count))

    def _advance(self, now: float) -> None:
        while self._coming and self._coming[0].begins <= now:
            self._begin(self._coming.pop(0))
        while self._active and (self._active[0].ends <= now or not self._active[0].left):
            self._give_back(self._active.pop(0))
        self._recount(now)

    def _begin(self, lease: _Lease) -> None:
        for other in self._active:
            if other.until == lease.until:
                other.left += lease.left
                return
        self._active.append(lease)
        self._active.sort(key=_by_end)

    def _give_back(self, lease: _Lease) -> None:
        if lease.left:
            self._moves.append(Move(lease.until, GIVEN_BACK, lease.left))
            self._figures.given_back += lease.left
            self.returned += lease.left

    def _recount(self, now: float) -> None:
        self.tokens = self._counted = sum(lease.left for lease in self._active)
        self._steady_until = min(
            self._active[0].ends if self._active else inf, self._coming[0].begins if self._coming else inf
        )
        self._set_edge(now)

    def _set_edge(self, now: float) -> None:
        lie = self.tokens <= self._spare and self._steady_until > now + LEASE_LIFE
        idle = lie or not self.tokens  # nothing is spent that must be dated soon
        self.edge = self._steady_until if idle else min(now + self._tick, self._steady_until)


def _by_begin(lease: _Lease) -> float:
    return lease.begins


def _by_end(lease: _Lease) -> float:
    return lease.ends
