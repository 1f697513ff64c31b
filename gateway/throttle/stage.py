"""The stage of a request's way where it is weighed against the tenant's plan."""

from collections.abc import Awaitable
from typing import Protocol

from gateway.request_context import RequestContext
from gateway.throttle.account import Account
from gateway.throttle.limiter import PlanLimiter
from tenants.principal import Window


class _Plan(Protocol):
    @property
    def windows(self) -> tuple[Window, ...]: ...


class Plans(Protocol):
    """Every plan in memory, as ``billing.plans`` keeps them."""

    def plan(self, code: str) -> _Plan:
        """The plan of that code as it is now."""
        ...


class ThrottleStage:
    """Charges the requests of tenant principals with the cost of their route. Others pass: they have no plan.

    Adds ``RateLimit-Policy`` and ``RateLimit`` to the response; raises RateLimited when a window holds no more.
    """

    def __init__(self, limiter: PlanLimiter, plans: Plans) -> None:
        self._limiter = limiter
        self._plans = plans

    def __call__(self, request: RequestContext) -> Awaitable[None] | None:
        principal = request.principal
        if principal is None or request.route is None:
            return None
        account = self._limiter.account(principal, self._plans.plan(principal.tenant.plan).windows)
        if account is None:
            return None
        request.account = account
        if not self._limiter.can_decide(account, request.route.cost):
            return self._lease(request, account, request.route.cost)
        self._limiter.check(request)
        return None

    async def _lease(self, request: RequestContext, account: Account, cost: int) -> None:
        await self._limiter.lease(account, cost)
        self._limiter.check(request)
