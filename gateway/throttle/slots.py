"""Slots: the places in which the requests of one tenant may be in flight at once, over all its keys and all workers."""

from dataclasses import dataclass
from math import inf
from typing import Any

import orjson

from gateway.throttle.clock import ServerClock
from gateway.throttle.leased import Ask, Leased
from gateway.throttle.script import SLOTS

SLOT_LIFE = 3.0  # seconds for which slots are leased: those of a worker that died come back then
_RENEW = 0.9  # seconds after which a lease is renewed: within the time in which the breaker settles
_IDLE = 0.5  # seconds without a request after which nothing is kept for the next
_PATIENCE = 1 / 32  # of the time that a request takes: so long may a slot lie idle here, or unclaimed in Redis
_LEAST_PATIENCE, _MOST_PATIENCE = 0.001, 0.02  # seconds
_PERSISTENT = 32  # refusals in a row after which the pauses grow
_SMOOTHING = 8  # requests over which their time is averaged
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class SlotAsk(Ask):
    """A call of slots.lua."""

    number: int  # of this worker's calls for this tenant


class Slots(Leased[SlotAsk]):
    """What this worker holds of a tenant's slots.

    No more requests begin than there are slots, and the slots of all workers are never more than the limit while Redis
    answers: a slot is given to a request only while its lease surely lasts, and Redis counts it until the lease has
    surely ended, or it was told otherwise. So the requests of a worker that stood still for longer than a lease lasts
    are beside those that others began meanwhile; and it begins none before it has told of them.
    """

    __slots__ = (
        "_asker",
        "_carried",
        "_carry_ends",
        "_clock",
        "_closed_until",
        "_most_idle",
        "_number",
        "_patience",
        "_quiet_since",
        "_refusals",
        "_renew_at",
        "_spare",
        "_surplus_since",
        "_touched",
        "_workers",
        "_yields",
        "ends",
        "held",
        "limit",
        "low",
        "share",
        "typical",
        "used",
    )

    def __init__(self, name: str, keys: tuple[str, ...], *, workers: int, asker: int) -> None:
        super().__init__(name, SLOTS, keys)
        self.limit = 0
        self.share = 0  # of this worker without Redis
        self.used = 0  # requests in flight here
        self.held = 0  # slots leased, with a request in them or not
        self.ends = 0.0  # our clock: the lease surely lasts until then
        self.typical = 0.0  # seconds that a request takes
        self._workers = workers
        self._asker = asker
        self._number = 0
        self._clock = ServerClock()
        self._renew_at = inf
        self._closed_until = 0.0
        self._refusals = 0  # in a row
        self._touched = False  # since ``_quiet_since``
        self._quiet_since = 0.0
        self._surplus_since = 0.0  # more lie idle than may, since then
        self.low = 0  # idle slots below which more are asked for
        self._most_idle = self._spare = 0
        self._yields = 0  # slots that others shall have as soon as they come free
        self._patience = _LEAST_PATIENCE
        self._carried = 0
        self._carry_ends = 0.0

    def resize(self, limit: int) -> None:
        """The plan allows so many from now on. Requests in flight beyond it are let end."""
        if limit < self.limit:
            # Nothing begins here before Redis has weighed what is in use against it, and what it is answering was not.
            self.ends = 0.0
            self._number += 1
        self.limit = limit
        self.share = limit // self._workers
        self._closed_until = 0.0

    # -- what a request asks

    def at_hand(self, now: float, cost: int = 1) -> bool:  # noqa: ARG002 - a request takes one
        """A slot is free here."""
        return self.used < self.held and now < self.ends

    def closed(self, now: float, cost: int = 1) -> bool:  # noqa: ARG002
        """Redis had none a moment ago."""
        return now < self._closed_until

    def wants_more(self, now: float) -> bool:
        """Few are free."""
        return self.held - self.used < self.low and not self.asking and now >= self._closed_until

    def allowed(self, now: float) -> int:
        """Requests that may be in flight here without Redis: this worker's share, less what others may still hold."""
        return self._carried if now < self._carry_ends else self.share

    def enter(self) -> None:
        """A request begins."""
        self.used += 1
        self._touched = True

    def leave(self, now: float, seconds: float) -> bool:
        """End a request that took so long. Whether more slots than may now begin to lie idle."""
        self.used -= 1
        self.typical += (seconds - self.typical) / _SMOOTHING
        if self.held - self.used != self._most_idle + 1:
            return False
        self._surplus_since = now
        return True

    # -- calls to Redis

    def ask(self, now: float, costs: list[int], *, ahead: bool = True) -> SlotAsk:
        """The next call: what is in use, what is kept besides, and a slot for each request that waits."""
        worth_sending = bool(self.held or self.used or costs)
        idle = self._kept(now, len(costs))
        self.held = min(self.held, self.used + idle)  # the others are Redis's as soon as it is told
        self._closed_until = 0.0
        urgent, extra = max(0, len(costs) - idle), max(0, self._spare - idle) if ahead and not costs else 0
        self._number += 1
        life = int(SLOT_LIFE * _MICROSECONDS)
        again = int(self._pause() * _MICROSECONDS)
        argument = orjson.dumps([self._asker, self._number, self.limit, self.used, idle, urgent, extra, life, again])
        return SlotAsk((argument,), for_waiting=bool(costs), worth_sending=worth_sending, number=self._number)

    def answered(self, reply: list[Any], *, sent: float, received: float, asked: SlotAsk) -> None:
        """Take in how many slots there are here from now on."""
        if asked.number != self._number:
            return  # a later call has told Redis otherwise, which it believes whichever comes first
        server, self.held, free, self._spare, short = reply
        self._clock.saw(sent=sent, received=received, server=server)
        self.ends = self._clock.possibly_after(server + int(SLOT_LIFE * _MICROSECONDS))
        self._renew_at = sent + _RENEW
        self._most_idle = 2 * self._spare
        self.low = (self._spare + 1) // 2 if free > 0 else 0
        self._patience = min(max(_LEAST_PATIENCE, self.typical * _PATIENCE), _MOST_PATIENCE)
        self._yields = min(short, self.held)
        self._surplus_since = received  # whoever waits for what was granted begins in a moment
        self._close(free, received)
        self._carry(free, received)

    def unanswered(self, asked: SlotAsk) -> None:
        """The next call tells the same, and what has changed."""

    @property
    def owes(self) -> bool:
        """Redis may not know what is in use here."""
        return bool(self.used or self.held)

    def due(self) -> float | None:
        """When the lease is to be renewed, or slots that lie idle are to be given back."""
        idle = self.held - self.used
        if not self.used and not self.held:
            return None
        soonest = self._renew_at
        if idle > 0:
            soonest = min(soonest, self._quiet_since + _IDLE)
        if idle > self._most_idle:
            soonest = min(soonest, self._surplus_until())
        return soonest

    def has_news(self, now: float) -> bool:
        """That moment has come."""
        if now >= self._quiet_since + _IDLE and self._touched:
            self._quiet_since, self._touched = now, False
        due = self.due()
        return due is not None and now >= due

    def idle(self) -> bool:
        """Nothing here would be missed."""
        return not (self.used or self.held or self.asking or self.waiting)

    # -- inside

    def _kept(self, now: float, waiting: int) -> int:
        """Slots that stay here though no request is in them."""
        idle = most = max(0, self.held - self.used) if now < self.ends else 0
        if idle > self._most_idle:
            lingered = now >= self._surplus_since + self._patience
            most = self._most_idle if lingered else max(self._most_idle, idle - self._yields)
        if not self._touched and now >= self._quiet_since + _IDLE:
            most = 0
        return min(idle, max(most, waiting))

    def _surplus_until(self) -> float:
        return self._surplus_since + (0.0 if self._yields else self._patience)

    def _close(self, free: int, now: float) -> None:
        if self.held >= self.limit:
            self._closed_until = self.ends  # nobody else has any
        elif free > 0:
            self._refusals, self._closed_until = 0, 0.0
        else:
            self._refusals += 1
            self._closed_until = now + self._pause()

    def _pause(self) -> float:
        """Seconds until Redis is asked again: a flood on slots that nobody gives back asks it ever less often."""
        return min(self._patience * max(1.0, self._refusals / _PERSISTENT), _MOST_PATIENCE)

    def _carry(self, free: int, now: float) -> None:
        """What all workers held when Redis last answered counts until their leases have ended."""
        self._carried = min(self.share, max(0, self.held + free // self._workers))
        self._carry_ends = now + SLOT_LIFE + _RENEW
