"""The stage of a request's way where it is weighed against the tenant's plan."""

from collections.abc import Awaitable
from time import monotonic
from typing import Protocol

from gateway.request.context import RequestContext
from gateway.throttle.account import Account
from gateway.throttle.limiter import PlanLimiter, PlanLimits


class Plans(Protocol):
    """Every plan in memory, as ``billing.plans`` keeps them."""

    def plan(self, code: str) -> PlanLimits:
        """The plan of that code as it is now: the same object until it changes."""
        ...


class ThrottleStage:
    """Charges the requests of tenant principals with the cost of their route. Others pass: they have no plan.

    Adds ``RateLimit-Policy`` and ``RateLimit`` to the response. Raises RateLimited when a window holds no more,
    ConcurrencyLimited when as many requests are in flight as may be, CostBeyondLimits for what no window ever holds.
    """

    def __init__(self, limiter: PlanLimiter, plans: Plans) -> None:
        self._limiter = limiter
        self._plans = plans

    def __call__(self, request: RequestContext) -> Awaitable[None] | None:
        principal, route = request.principal, request.route
        if principal is None or route is None:
            return None
        account = self._limiter.account(principal, self._plans.plan(principal.tenant.plan))
        if account is None:
            return None
        if self._limiter.admit(request, account, monotonic(), route.cost):
            return None
        return self._lease(request, account)

    async def _lease(self, request: RequestContext, account: Account) -> None:
        self._limiter.check(request, account, await self._limiter.lease(request, account))
