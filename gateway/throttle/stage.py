"""The throttle stage of the gate."""

from collections.abc import Awaitable
from time import monotonic
from typing import Protocol

from gateway.request.context import RequestContext
from gateway.throttle.account import Account
from gateway.throttle.limiter import PlanLimiter, PlanLimits


class Plans(Protocol):
    """Looks up plans, as ``billing.plans`` does."""

    def plan(self, code: str) -> PlanLimits:
        """The current plan of that code: the same object until it changes."""
        ...


class ThrottleStage:
    """Charges requests of tenant principals the cost of their route. Others pass: they have no plan.

    Adds ``RateLimit-Policy`` and ``RateLimit`` to the response. Raises RateLimited, ConcurrencyLimited, and
    CostBeyondLimits for a cost that no wait makes affordable.
    """

    def __init__(self, limiter: PlanLimiter, plans: Plans) -> None:
        self._limiter = limiter
        self._plans = plans

    def __call__(self, request: RequestContext) -> Awaitable[None] | None:
        principal, route = request.principal, request.route
        if principal is None or route is None:
            return None
        account = self._limiter.account(principal, self._plans.plan(principal.tenant.plan))
        if account is None or self._limiter.admit(request, account, monotonic(), route.terms.cost):
            return None
        return self._wait(request, account)

    async def _wait(self, request: RequestContext, account: Account) -> None:
        self._limiter.check(request, account, await self._limiter.lease(request, account))
