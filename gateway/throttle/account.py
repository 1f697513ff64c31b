"""One tenant under one plan (or one key with limits of its own): what this worker knows and holds of it."""

from dataclasses import dataclass
from math import ceil, exp
from typing import Any

import orjson

from gateway.throttle.clock import ServerClock
from gateway.throttle.figures import Figures
from gateway.throttle.leased import Ask, Leased
from gateway.throttle.leases import Grant, Leases
from gateway.throttle.script import GRANT
from gateway.throttle.share import Share
from gateway.throttle.slots import Slots
from gateway.throttle.windows import LEASE_AHEAD, LEASE_LIFE, Limit, WindowSet
from tenants.principal import Window

_MICROSECONDS = 1_000_000
_SHORTEST_MEASURE = 0.0001  # seconds: over less a rate says nothing
_MEMORY = 0.5  # seconds over which a rate is measured: a burst alone makes no rate
_LATE = 4  # how many times longer a token must live after one came too late to be spent
_NEVER_AHEAD = -1
_ROUND_TRIP = 0.01  # seconds: of need that must be at hand when more is asked for
_WORTH_A_CALL = 50  # requests that a lease shall serve, however few come in a second
_LONGEST_LIFE = 30.0  # seconds for which they may lie here
_LEAST_RATE = 0.1  # requests a second: of a tenant that has just come, it is not known
_LYING_PART = 50  # of the smallest quota such tokens are at most this part, over all workers: others miss no more


@dataclass(frozen=True, slots=True)
class TokenAsk(Ask):
    """A call of grant.lua, and what must be undone if it fails."""

    life: int  # microseconds
    cost: int  # the least that is waited for
    tells_debts: bool


class Account(Leased[TokenAsk]):
    """Leases, share, closing time and header fields of one tenant (or key) under one set of windows."""

    __slots__ = (
        "_asked_at",
        "_asked_demand",
        "_asker",
        "_born",
        "_ceiling",
        "_clock",
        "_closed_for",
        "_enough",
        "_granted",
        "_late",
        "_rate",
        "_remaining",
        "_resets",
        "_spare",
        "_template",
        "_tightest",
        "argument",
        "closed_until",
        "dearest",
        "leases",
        "low",
        "own",
        "period",
        "plan",
        "policy_field",
        "quota",
        "refused",
        "share",
        "slots",
        "tenant",
        "touched",
        "windows",
    )

    def __init__(
        self,
        name: str,
        tenant: str,
        *,
        keys: tuple[str, ...],
        windows: WindowSet,
        share: Share,
        asker: int,
        figures: Figures,
    ) -> None:
        super().__init__(name, GRANT, keys)
        self.windows = windows
        self.tenant = tenant  # hexadecimal id
        self.plan: object = None  # the very objects that were resolved, to know them again at once
        self.own: tuple[Window, ...] = ()
        self.quota = windows.quota
        self.dearest = windows.quota  # what one request may cost at most: beyond it no wait would help
        self.period = windows.shortest
        self.argument = windows.script_argument()
        self.policy_field = windows.policy_field
        self.share = share
        self._clock = ServerClock()
        self._spare = windows.quota // (_LYING_PART * share.workers)
        self.leases = Leases(self._clock, windows.grain, figures, spare=self._spare)
        self.low = _NEVER_AHEAD  # tokens at hand at which the next lease is asked for
        self.closed_until = 0.0  # our clock: before it Redis has nothing for us
        self.refused = 0
        self.touched = True  # since the last sweep
        self.slots: Slots | None = None  # of the tenant; None when its plan does not limit them
        self._closed_for = 1  # a cost
        self._granted = 0  # tokens, by the last reply
        self._asker = asker  # a number of this account's own, to be told from other workers' by
        self._asked_at = float("-inf")
        self._asked_demand = 0
        self._late = 1
        self._rate = 0.0  # requests a second, admitted or not
        self._enough = True  # for all that ask, by the last reply
        self._born: list[int] = []
        self._tightest = min(range(len(windows.limits)), key=lambda at: windows.limits[at].quota)
        self._show(tuple(limit.quota for limit in windows.limits), tuple(0.0 for _ in windows.limits), 0.0)

    # -- what a request asks

    def at_hand(self, now: float, cost: int) -> bool:
        """A token can be spent at once."""
        leases = self.leases
        if now >= leases.edge:
            leases.turn(now)
        return leases.tokens >= cost

    def closed(self, now: float, cost: int) -> bool:
        """So much cannot be had before a moment that is known: asking Redis would only say so again.

        Of tokens that go back unspent Redis has not heard yet.
        """
        shut = now < self.closed_until and cost >= self._closed_for and not self.leases.returned
        return shut or (not self._enough and self.leases.next_begin is not None)

    def wants_more(self, now: float) -> bool:
        """So few tokens are left, or promised, that more should be asked for while they last."""
        few = self.leases.tokens + self.leases.coming <= self.low
        return few and not self.asking and not self.closed(now, 1)

    def used(self) -> int:
        """How much of the smallest quota counts as used, as far as this worker knows."""
        return self._ceiling - self.leases.tokens

    def wait(self, now: float) -> float:
        """Seconds until something can be had."""
        begin = self.leases.next_begin
        return max(0.0, (self.closed_until if begin is None else min(begin, self.closed_until)) - now)

    def exhausted_window(self, cost: int) -> Limit:
        """The window that refuses a request of this cost: of several the one that resets last."""
        states = list(zip(self._remaining, self._resets, self.windows.limits, strict=True))
        exhausted = [state for state in states if state[0] < cost]
        if exhausted:
            return max(exhausted, key=_reset_of)[2]
        return min(states, key=_remaining_of)[2]  # what remains is leased to other workers

    # -- header fields

    def limit_field(self) -> tuple[bytes, bytes]:
        """``RateLimit`` after a request was admitted from a lease."""
        tokens = self.leases.tokens
        return b"ratelimit", self._template % tuple([remaining + tokens for remaining in self._remaining])

    def refused_field(self, now: float) -> tuple[bytes, bytes]:
        """``RateLimit`` of a request that was refused while Redis answers."""
        resets = tuple(moment - now for moment in self._resets)
        return b"ratelimit", self.windows.limit_template(resets) % self._remaining

    def share_field(self, now: float) -> tuple[bytes, bytes]:
        """``RateLimit`` while this worker gives its own share."""
        return b"ratelimit", self.windows.limit_template(self.share.resets(now)) % self.share.remaining(now)

    # -- calls to Redis

    def ask(self, now: float, costs: list[int], *, ahead: bool = True) -> TokenAsk:
        """The next call: tokens for waiting requests of these costs, more as the rate suggests, and reports."""
        self.leases.turn(now)
        need = max(1, min(costs, default=1) - self.leases.tokens)
        urgent = max(need, sum(costs) - self.leases.tokens) if costs else 0
        extra = self._ahead_of_need(now, urgent) if ahead else 0
        life = int(self._life(extra) * _MICROSECONDS)
        debts = self.share.take_debts(now) if self.share.owes else []
        moves = [number for move in self.leases.take_moves() for number in move]
        batch, rate = self.windows.largest_batch, max(1, int(self._rate))
        argument = orjson.dumps([urgent, extra, batch, need, life, self._asker, rate, self._born, moves, debts])
        worth_sending = bool(urgent or extra or moves or debts)
        return TokenAsk(
            (self.argument, argument),
            for_waiting=urgent > 0,
            worth_sending=worth_sending,
            life=life,
            cost=min(costs, default=1),
            tells_debts=bool(debts),
        )

    def answered(self, reply: list[Any], *, sent: float, received: float, asked: TokenAsk) -> None:
        """Take in what the script has granted, or when it will."""
        server, again, self._born, granted, remaining, resets, enough = reply
        self._enough = bool(enough)
        self._clock.saw(sent=sent, received=received, server=server)
        self.leases.add(_grants(granted), server=server, until=server + asked.life, now=received)
        self._show(tuple(remaining), tuple(reset / _MICROSECONDS for reset in resets), received)
        quotas = (limit.quota for limit in self.windows.limits)
        used = tuple(quota - left for quota, left in zip(quotas, remaining, strict=True))
        self.share.carry(used, received, self.leases.last_end)
        self._close(server, again, received)
        self._closed_for = asked.cost
        self._granted = sum(granted[1::2])
        self._mark(granted, asked)

    def unanswered(self, asked: TokenAsk) -> None:
        """The call failed. Its moves are not told again: tokens that stay dated late err on the safe side."""
        if asked.tells_debts:
            self.share.owe_again()

    @property
    def owes(self) -> bool:
        """Something was spent from the share."""
        return self.share.owes

    def due(self) -> float | None:
        """When the last lease has ended; what others will hardly miss is not worth a call of its own."""
        return self.leases.last_end if self._granted > max(1, self._spare) else None

    def has_news(self, now: float) -> bool:
        """The last lease has ended, and what became of it was not told."""
        self.leases.turn(now)
        return self.leases.last_end is None and self.leases.has_moves

    def retire(self, now: float) -> None:
        """Nothing more is spent from here."""
        self.leases.give_all_back(now)
        self.low = _NEVER_AHEAD

    def idle(self, now: float) -> bool:
        """Nothing here would be missed."""
        self.leases.turn(now)
        held = self.leases.tokens or self.leases.coming
        return not (held or self.asking or self.waiting or self.share.owes) and self.share.idle(now)

    def _ahead_of_need(self, now: float, urgent: int) -> int:
        """Tokens beyond those waited for: what the rate will need, but never a jump, and none of a small quota."""
        demand = self.leases.spent + self.refused + urgent
        since, elapsed = demand - self._asked_demand, max(now - self._asked_at, _SHORTEST_MEASURE)
        self._asked_at, self._asked_demand = now, demand
        self._rate += (since / elapsed - self._rate) * (1 - exp(-elapsed / _MEMORY))
        wanted = max(min(int(self._rate * LEASE_AHEAD), self.windows.most_ahead), self._lying())
        return max(0, wanted - urgent - self.leases.tokens - self.leases.coming) if wanted > 1 else 0

    def _lying(self) -> int:
        """Tokens that may lie here for long, so that a tenant with few requests need not ask for each of them."""
        return min(_WORTH_A_CALL, self._spare) if self._enough else 0

    def _life(self, extra: int) -> float:
        """Seconds for which what is asked for can be spent: twice as long as the rate needs for it."""
        if not extra:
            return min(self.windows.grain * self._late, self.windows.shortest / 2)
        return max(LEASE_LIFE, min(_LONGEST_LIFE, 2 * extra / max(self._rate, _LEAST_RATE)))

    def _close(self, server: int, again: int, now: float) -> None:
        if again == 0:
            self.closed_until = 0.0
        else:
            never = now + self.windows.shortest
            self.closed_until = self._clock.certainly_after(server + again) if again > 0 else never

    def _mark(self, granted: list[int], asked: TokenAsk) -> None:
        """When to ask again ahead of need, and whether this answer came too late to be of use."""
        tokens = self.leases.tokens + self.leases.coming
        ahead = tokens > 1 and self.windows.most_ahead > 0
        self.low = min(ceil(self._rate * _ROUND_TRIP), tokens // 2) if ahead else _NEVER_AHEAD
        came_too_late = asked.for_waiting and bool(granted) and not tokens
        self._late = self._late * _LATE if came_too_late else 1

    def _show(self, remaining: tuple[int, ...], resets: tuple[float, ...], now: float) -> None:
        self._remaining = remaining
        self._resets = tuple(now + reset for reset in resets)
        self._template = self.windows.limit_template(resets)
        self._ceiling = self.quota - remaining[self._tightest]


def _grants(flat: list[int]) -> list[Grant]:
    return [Grant(*flat[at : at + 2]) for at in range(0, len(flat), 2)]


def _remaining_of(state: tuple[int, float, Limit]) -> int:
    return state[0]


def _reset_of(state: tuple[int, float, Limit]) -> float:
    return state[1]


def whole_seconds(wait: float) -> int:
    """An integer ``Retry-After`` (RFC 9110 section 10.2.3) that is long enough."""
    return max(1, ceil(wait))
