"""The stage of a request's way where it is weighed against the tenant's plan."""

from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.request_context import context_of
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
    """Charges the requests of tenant principals. Others pass: their routes are throttled by source address.

    Adds ``RateLimit-Policy`` and ``RateLimit`` to the response; raises RateLimited when a window holds no more.
    """

    def __init__(self, app: ASGIApp, limiter: PlanLimiter, plans: Plans) -> None:
        self._app = app
        self._limiter = limiter
        self._plans = plans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            context = context_of(scope)
            principal = context.principal
            if principal is not None:
                windows = self._plans.plan(principal.tenant.plan).windows
                account = self._limiter.account(principal, windows)
                if account is not None:
                    await self._limiter.lease(account)
                    self._limiter.check(scope, account, context.response_headers)
        await self._app(scope, receive, send)
