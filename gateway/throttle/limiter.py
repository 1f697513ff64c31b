"""SlowAPI's limiter: limits are resolved once for each account instead of at every request."""

from copy import copy
from functools import partial
from time import monotonic, perf_counter, time
from typing import Protocol, cast

from slowapi import Limiter

from gateway.request.context import Header, RequestContext
from gateway.request.route import Budget, Quota, Route
from gateway.request.source import source_bucket
from gateway.throttle.account import Account, whole_seconds
from gateway.throttle.concurrency import ConcurrencyPermits
from gateway.throttle.errors import CostBeyondLimits, concurrency_limited, rate_limited
from gateway.throttle.leased_resource import ThrottleStats
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.storage import LeasedStorage, storage_uri
from gateway.throttle.windows import window_set
from tenants.errors import RateLimited, TenantryError
from tenants.principal import Operator, Principal, Window

_MAX_CONCURRENCY_WAIT = 60  # seconds
_MINUTE = 60  # seconds: the window of management requests


class PlanLimits(Protocol):
    """The limits of a plan."""

    @property
    def windows(self) -> tuple[Window, ...]:
        """Every request is charged to each of them."""
        ...

    @property
    def concurrency(self) -> int | None:
        """Maximum number of requests in flight; None is no limit."""
        ...


class RequestLimiter(Limiter):
    """Charges a request to every window that its route is charged to, or to none.

    ``plan_account``, ``management_account``, ``operator_account`` and ``source_account`` find what to charge. A plan's
    account also has the tenant's concurrency permits, of which each of its requests gets one. ``admit`` charges without
    waiting: enough for a warm request. Otherwise ``lease`` awaits Redis, and ``check`` admits or refuses. Both use one
    moment, ``now``: if the clock were read again to spend, a process that stalled in between would refuse what it had
    just leased.
    SlowAPI's own check would parse limit strings and inspect signatures at every request, and call Redis on the event
    loop.
    """

    def __init__(self, settings: ThrottleSettings) -> None:
        super().__init__(
            key_func=_no_key,
            storage_uri=storage_uri(settings),
            storage_options={
                "workers": str(settings.workers),
                "deadline_seconds": str(settings.deadline_seconds),
                "connections": str(settings.connections),
                "takes_over": str(int(settings.takes_over)),
            },
        )
        self.enabled = True  # SlowAPI reads RATELIMIT_ENABLED: the environment must not turn limits off
        self._leased = cast("LeasedStorage", self._storage)
        self._settings = settings
        self._manager = self._leased.manager
        self._breaker = self._manager.breaker

    async def start(self) -> None:
        """To be awaited before the first request."""
        await self._leased.start()

    async def close(self) -> None:
        """To be awaited after the last request."""
        self.reset()
        await self._leased.stop()

    @property
    def stats(self) -> ThrottleStats:
        """Counters of this worker."""
        return self._manager.stats

    @property
    def accounts(self) -> int:
        """Number of sets of windows, each of a tenant, of some of its principals or of a source, with state here."""
        return len(self._leased)

    @property
    def uses_redis(self) -> bool:
        """Redis decides; otherwise this worker enforces its own share."""
        return self._leased.check()

    def rehearsal(self) -> "RequestLimiter":
        """A limiter that decides as this one does for one request: it spends, leases, reports and keeps nothing."""
        other = copy(self)
        other.detach()
        return other

    def detach(self) -> None:
        """Work on copies of what this limiter shares with the one that it is a copy of."""
        self._leased = self._leased.rehearsal()
        self._manager = self._leased.manager
        self._breaker = self._manager.breaker

    @property
    def rehearsed(self) -> Account | None:
        """The account that the request of this rehearsal was charged to; None when nothing limits it."""
        return next(iter(self._leased.accounts), None)

    def plan_account(self, principal: Principal, plan: PlanLimits) -> Account | None:
        """The account that a request under this plan is charged to; None when no window limits it."""
        own = principal.windows
        name = principal.tenant.schema if not own else ":".join([principal.tenant.schema, *[w.counter for w in own]])
        account = self._leased.find(name)
        if account is None or account.plan is not plan or account.key_windows != own:
            account = self._resolve(account, name, principal, plan)
        if account is not None:
            account.recently_used = True
        return account

    def management_account(self, principal: Principal, budget: Budget = Budget.MANAGEMENT) -> Account:
        """The account of a management or SCIM request, which no plan and no data traffic can exhaust (TH10).

        A principal has a window of its own within its tenant's. People and keys of a tenant have a window each, so that
        however many keys leak, people can revoke them.
        """
        family, purpose = principal.family or principal.id.hex, budget.name.lower()
        name = f"{principal.tenant.schema}:{purpose}:{family}"
        account = self._leased.find(name)
        if account is None:
            of_tenant, of_principal = self._settings.quotas(is_scim=budget is Budget.SCIM)
            windows = (
                Window("tenant", of_tenant, _MINUTE, f"{purpose}:{principal.kind.value}"),
                Window("principal", of_principal, _MINUTE, f"{purpose}:{family}"),
            )
            account = self._open(name, principal.tenant.id.hex, windows)
        account.recently_used = True
        return account

    def operator_account(self, operator: Operator) -> Account:
        """The account of an operator who acts for tenants: of the key, whatever the tenants."""
        name = f"operator:{operator.id.hex}"
        account = self._leased.find(name)
        if account is None:
            windows = (Window("principal", self._settings.principal_quota, _MINUTE, "acting"),)
            account = self._open(name, name, windows)
        account.recently_used = True
        return account

    def source_account(self, client: str, route: Route, quota: Quota) -> Account:
        """The account of all requests of one source to one public route (TH3)."""
        source = source_bucket(client)
        counter = f"{route.method} {route.template}"
        name = f"{source} {counter}"
        account = self._leased.find(name)
        if account is None:
            windows = (Window("source", quota.requests, quota.seconds, counter),)
            account = self._open(name, f"source {source}", windows)
        account.recently_used = True
        return account

    def admit(self, request: RequestContext, account: Account, now: float, cost: int) -> bool:
        """Charge the request and add the header fields, if tokens and a permit are available in this worker.

        Otherwise nothing is charged, and ``lease`` must be awaited.
        """
        permits = account.permits
        if permits is not None and not self._leased.has_permit(permits, now):
            return False
        if not self._leased.spend(account, now, cost):
            return False
        self._grant(request, account, permits, now)
        return True

    async def lease(self, request: RequestContext, account: Account) -> float:
        """The moment for ``check``: Redis has replied, or is unreachable. Raises CostBeyondLimits."""
        cost = _cost_of(request)
        if cost > account.max_cost:
            request.response_headers += (account.policy_field, self._limit_field(account, monotonic()))
            raise CostBeyondLimits(detail=f"account {account.name}, cost {cost}")
        if account.permits is None:
            return await self._manager.lease((account, cost))
        return await self._manager.lease((account.permits, 1), (account, cost))

    def check(self, request: RequestContext, account: Account, now: float) -> None:
        """Admit the request or refuse it, and add the header fields in either case.

        Raises RateLimited and ConcurrencyLimited; then nothing was charged.
        """
        cost, fields, permits = _cost_of(request), request.response_headers, account.permits
        if permits is not None and not self._leased.has_permit(permits, now):
            fields.append(account.policy_field)
            raise self._no_permit(account, permits, fields, now, cost)
        if self._leased.incr(account.name, account.windows.shortest, cost, now=now) > account.quota:
            fields.append(account.policy_field)
            account.refused += cost
            raise self._no_tokens(account, fields, now, cost)
        self._grant(request, account, permits, now)

    async def charge(self, request: RequestContext, account: Account) -> None:
        """Charge the request to one more account, once its endpoint knows its principal. Raises RateLimited."""
        if not self.admit(request, account, monotonic(), _cost_of(request)):
            self.check(request, account, await self.lease(request, account))

    def _grant(self, request: RequestContext, account: Account, permits: ConcurrencyPermits | None, now: float) -> None:
        request.response_headers += (account.policy_field, self._limit_field(account, now))
        if permits is not None:
            self._leased.acquire(permits, now)
            request.on_delivered(partial(self._release, permits))

    def _release(self, permits: ConcurrencyPermits, request: RequestContext, _status: int) -> None:
        self._leased.release(permits, monotonic(), perf_counter() - request.started)

    def _limit_field(self, account: Account, now: float) -> Header:
        return account.share_field(now) if self._breaker.open else account.limit_field()

    def _no_permit(
        self, account: Account, permits: ConcurrencyPermits, fields: list[Header], now: float, cost: int
    ) -> TenantryError:
        """If a window refuses the request too, the refusal names the window: its wait is known."""
        if not self._breaker.open and account.exhausted(now, cost) and not account.available(now, cost):
            return self._no_tokens(account, fields, now, cost)
        fields.append(self._limit_field(account, now))
        wait = min(whole_seconds(permits.typical_seconds), _MAX_CONCURRENCY_WAIT)
        return concurrency_limited(permits.limit, account.name, wait)

    def _no_tokens(self, account: Account, fields: list[Header], now: float, cost: int) -> RateLimited:
        if self._breaker.open:
            fields.append(account.share_field(now))
            waits = account.share.waits(now, cost)
            wait = max(waits)
            window = account.windows.limits[waits.index(wait)]
        else:
            fields.append(account.refused_field(now))
            wait, window = self._leased.get_expiry(account.name) - time(), account.exhausted_window(cost)
        used = self._leased.get(account.name)
        return rate_limited(window, f"{account.name}, {used} used", whole_seconds(wait))

    def _resolve(self, account: Account | None, name: str, principal: Principal, plan: PlanLimits) -> Account | None:
        """The slow path: the first request, or a changed plan, which takes effect with this request."""
        windows, tenant = window_set((*plan.windows, *principal.windows)), principal.tenant.id.hex
        if windows is None:
            return None
        if account is None or account.windows != windows:
            account = self._leased.open_account(name, tenant, windows)
        account.plan, account.key_windows = plan, principal.windows
        account.permits = self._leased.permits(tenant, plan.concurrency)
        return account

    def _open(self, name: str, owner: str, windows: tuple[Window, ...]) -> Account:
        """Open an account whose windows never change."""
        found = window_set(windows)
        if found is None:
            raise ValueError("an account needs windows")
        return self._leased.open_account(name, owner, found)


def _cost_of(request: RequestContext) -> int:
    return request.route.terms.cost if request.route is not None else 1


def _no_key() -> str:
    """SlowAPI requires a key function; accounts are found by principal instead."""
    return ""
