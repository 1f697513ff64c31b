"""SlowAPI's limiter with its check replaced: the limits of a plan are resolved once, not at every request."""

from functools import partial
from time import monotonic, perf_counter
from typing import Protocol, cast

from slowapi import Limiter

from gateway.request.context import Header, RequestContext
from gateway.throttle.account import Account, whole_seconds
from gateway.throttle.errors import CostBeyondLimits, RateLimited, concurrency_limited, rate_limited
from gateway.throttle.figures import Figures
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.slots import Slots
from gateway.throttle.storage import LeasedStorage, storage_uri
from gateway.throttle.windows import window_set
from tenants.errors import TenantryError
from tenants.principal import Principal, Window

_LONGEST_ADVICE = 60  # seconds


class PlanLimits(Protocol):
    """What a plan says of limits."""

    @property
    def windows(self) -> tuple[Window, ...]:
        """Each is charged with every request."""
        ...

    @property
    def concurrency(self) -> int | None:
        """Requests that may be in flight at once; None is no limit."""
        ...


class PlanLimiter(Limiter):
    """Charges a request to every window of its tenant's plan, or to none, and gives it one of the tenant's slots.

    ``account`` finds what is charged, and ``admit`` charges it: a warm request waits for nothing. Where too little is
    at hand, ``lease`` awaits Redis, and ``check`` admits or refuses. Both judge by one moment, ``now``: were the clock
    read again to spend, a process that stood still in between would refuse what had just been found. SlowAPI's own
    check would parse limit strings and inspect signatures each time, and call Redis on the event loop.
    """

    def __init__(self, settings: ThrottleSettings) -> None:
        super().__init__(
            key_func=_nobody,
            storage_uri=storage_uri(settings),
            storage_options={
                "workers": str(settings.workers),
                "deadline_seconds": str(settings.deadline_seconds),
                "connections": str(settings.connections),
                "takes_over": str(int(settings.takes_over)),
            },
        )
        self.enabled = True  # SlowAPI reads RATELIMIT_ENABLED: nobody's environment may open the gate
        self._leased = cast("LeasedStorage", self._storage)
        self._refills = self._leased.refills
        self._breaker = self._refills.breaker

    async def start(self) -> None:
        """To be awaited before the first request."""
        await self._leased.start()

    async def close(self) -> None:
        """To be awaited after the last request."""
        await self._leased.close()

    @property
    def figures(self) -> Figures:
        """What this worker's throttle has done so far."""
        return self._refills.figures

    @property
    def accounts(self) -> int:
        """Tenants, and keys with limits of their own, that this worker keeps tokens for."""
        return len(self._leased)

    @property
    def answering(self) -> bool:
        """Redis decides; else this worker gives its own share."""
        return self._refills.answering

    def account(self, principal: Principal, plan: PlanLimits) -> Account | None:
        """What a request under this plan is charged to; None when no window limits it."""
        own = principal.windows
        name = principal.tenant.schema if not own else f"{principal.tenant.schema}:{principal.id.hex}"
        account = self._leased.find(name)
        if account is None or account.plan is not plan or account.own is not own:
            account = self._resolve(account, name, principal, plan)
        if account is not None:
            account.touched = True
        return account

    def admit(self, request: RequestContext, account: Account, now: float, cost: int) -> bool:
        """Spend what the request costs, and add the header fields, if all of it is at hand: as for a warm request.

        Else nothing was spent: ``lease`` must be awaited.
        """
        slots = account.slots
        if slots is not None and not self._leased.has_room(slots, now):
            return False
        if not self._leased.spend(account, now, cost):
            return False
        request.response_headers += (account.policy_field, self._limit_field(account, now))
        if slots is not None:
            self._leased.enter(slots, now)
            request.on_close(partial(self._leave, slots))
        return True

    async def lease(self, request: RequestContext, account: Account) -> float:
        """The moment at which ``check`` can decide: after Redis has answered, or was silent for too long.

        Raises CostBeyondLimits.
        """
        cost = _cost_of(request)
        if cost > account.dearest:
            request.response_headers += (account.policy_field, self._limit_field(account, monotonic()))
            raise CostBeyondLimits(detail=f"account {account.name}, cost {cost}")
        if account.slots is None:
            return await self._refills.lease((account, cost))
        return await self._refills.lease((account.slots, 1), (account, cost))

    def check(self, request: RequestContext, account: Account, now: float) -> None:
        """Admit the request, or refuse it, with the header fields on either answer.

        Raises RateLimited and ConcurrencyLimited; then nothing was spent.
        """
        cost = _cost_of(request)
        if self.admit(request, account, now, cost):
            return
        fields, slots = request.response_headers, account.slots
        fields.append(account.policy_field)
        if slots is not None and not self._leased.has_room(slots, now):
            raise self._no_room(account, fields, now, cost)
        account.refused += cost
        raise self._refusal(account, fields, now, cost)

    def _leave(self, slots: Slots, request: RequestContext, _status: int) -> None:
        """The request has ended, however it did: its slot is free."""
        self._leased.leave(slots, monotonic(), perf_counter() - request.started)

    def _limit_field(self, account: Account, now: float) -> Header:
        return account.share_field(now) if self._breaker.open else account.limit_field()

    def _no_room(self, account: Account, fields: list[Header], now: float, cost: int) -> TenantryError:
        """Of a request that its windows refuse as well, that is told: there it is known how long to wait."""
        slots = account.slots
        if slots is None or (not self._breaker.open and account.closed(now, cost) and not account.at_hand(now, cost)):
            return self._refusal(account, fields, now, cost)
        fields.append(self._limit_field(account, now))
        wait = min(whole_seconds(slots.typical), _LONGEST_ADVICE)
        return concurrency_limited(slots.limit, account.name, wait)

    def _refusal(self, account: Account, fields: list[Header], now: float, cost: int) -> RateLimited:
        if self._breaker.open:
            fields.append(account.share_field(now))
            waits = account.share.waits(now, cost)
            wait = max(waits)
            window = account.windows.limits[waits.index(wait)]
        else:
            fields.append(account.refused_field(now))
            wait, window = account.wait(now), account.exhausted_window(cost)
        return rate_limited(window, account.name, whole_seconds(wait))

    def _resolve(self, account: Account | None, name: str, principal: Principal, plan: PlanLimits) -> Account | None:
        """The slow way: first request, or a plan that changed, in force with the very request that brings it."""
        together = window_set(plan.windows, principal.windows)
        if together is None:
            return None
        if account is None or account.windows != together:
            account = self._leased.open(name, principal, together)
        account.plan, account.own = plan, principal.windows
        account.slots = self._leased.slots(principal, plan.concurrency)
        return account


def _cost_of(request: RequestContext) -> int:
    return request.route.cost if request.route is not None else 1


def _nobody() -> str:
    """SlowAPI asks for a key function; accounts are found by principal instead."""
    return ""
