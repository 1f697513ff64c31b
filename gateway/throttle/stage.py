"""The throttle stage of the gate."""

from collections.abc import Awaitable
from time import monotonic
from typing import Protocol

from gateway.request.context import RequestContext
from gateway.request.route import Audience, Budget, Route
from gateway.throttle.account import Account
from gateway.throttle.limiter import PlanLimits, RequestLimiter

_PLAN = Budget.PLAN  # looked up once: that, and choosing in a method, took 0.6 µs of 5.3


class Plans(Protocol):
    """Looks up plans, as ``billing.plans`` does."""

    def plan(self, code: str) -> PlanLimits:
        """The current plan of that code: the same object until it changes."""
        ...


class ThrottleStage:
    """Charges a request the cost of its route, before its body is read (TH11).

    A route with ``per_source`` is charged to the source of the request. Any other is charged to the tenant of its
    principal, to the budget that the route declares. Of operators, requests to tenants' routes alone are charged, each
    to the operator's key: with them an operator acts for a tenant. Requests without a credential pass.

    Adds ``RateLimit-Policy`` and ``RateLimit`` to the response. Raises RateLimited, ConcurrencyLimited, and
    CostBeyondLimits for a cost that no wait makes affordable.
    """

    def __init__(self, limiter: RequestLimiter, plans: Plans) -> None:
        self._limiter = limiter
        self._plans = plans

    def __call__(self, request: RequestContext) -> Awaitable[None] | None:
        route, principal = request.route, request.principal
        if route is None:
            return None
        terms = route.terms
        account: Account | None
        if principal is not None and terms.budget is _PLAN and terms.per_source is None:
            account = self._limiter.plan_account(principal, self._plans.plan(principal.tenant.plan))
        else:
            account = self._other_account(request, route)
        if account is None or self._limiter.admit(request, account, monotonic(), terms.cost):
            return None
        return self._wait(request, account)

    def account_of(self, request: RequestContext) -> Account | None:
        """What a request is charged to whose route and principal are known; None is nothing."""
        route, principal = request.route, request.principal
        if route is None:
            return None
        if principal is None or route.terms.budget is not _PLAN or route.terms.per_source is not None:
            return self._other_account(request, route)
        return self._limiter.plan_account(principal, self._plans.plan(principal.tenant.plan))

    def _other_account(self, request: RequestContext, route: Route) -> Account | None:
        if route.terms.per_source is not None:
            return self._limiter.source_account(request.client, route, route.terms.per_source)
        if request.principal is not None:
            return self._limiter.management_account(request.principal, route.terms.budget)
        if request.operator is not None and route.terms.guard.audience is Audience.TENANTS:
            return self._limiter.operator_account(request.operator)
        return None

    async def _wait(self, request: RequestContext, account: Account) -> None:
        self._limiter.check(request, account, await self._limiter.lease(request, account))
