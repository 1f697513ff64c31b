"""Decisions in the form in which ``POST /operator/v1/verify`` and AuthZEN answer."""

from dataclasses import dataclass
from time import monotonic

from billing.plans.cache import PlanCache
from gateway.decisions.decider import AskedRequest, Decider
from gateway.decisions.findings import PREFIXES
from gateway.decisions.identities import DecidedIdentities
from gateway.decisions.verify_schemas import (
    Verification,
    VerifiedLimit,
    VerifiedPlan,
    VerifiedPrincipal,
    VerifiedTenant,
)
from gateway.problems.documents import status_of
from gateway.request.context import RequestContext
from gateway.throttle.limiter import RequestLimiter
from gateway.throttle.stage import ThrottleStage
from tenants.errors import TenantryError, Unavailable
from tenants.identifiers import TENANT, show
from tenants.principal import Principal


@dataclass(frozen=True, slots=True)
class Verifier:
    """One per worker."""

    decider: Decider
    identities: DecidedIdentities
    limiter: RequestLimiter
    plans: PlanCache

    async def verify(self, asked: AskedRequest, request_id: str) -> Verification:
        """Decide on the request, and charge and count it. Never raises: what fails is refused."""
        request = asked.context(request_id)
        error = await self.decider.decide(request, asked)
        identity: str | None = None
        if error is None:
            try:
                identity = self._identity(request)
            except Unavailable as raised:  # the plan has gone meanwhile
                error = raised
        return self._verdict(request, error, identity)

    def _identity(self, request: RequestContext) -> str | None:
        token = self.identities.of(request)
        return None if token is None else token.decode("ascii")

    def _verdict(self, request: RequestContext, error: TenantryError | None, identity: str | None) -> Verification:
        principal = request.principal
        return Verification(
            allowed=error is None,
            status=None if error is None else status_of(error),
            code=None if error is None else error.code,
            message=None if error is None else error.message,
            retry_after=None if error is None else error.retry_after,
            principal=None if principal is None else _principal(principal),
            tenant=None if principal is None else _tenant(principal),
            plan=None if principal is None else self._plan(principal),
            limits=self._limits(request),
            identity=identity,
        )

    def _plan(self, principal: Principal) -> VerifiedPlan | None:
        try:
            plan = self.plans.plan(principal.tenant.plan)
        except Unavailable:
            return None
        return VerifiedPlan(code=plan.code, features=dict(plan.features))

    def _limits(self, request: RequestContext) -> list[VerifiedLimit]:
        try:
            account = ThrottleStage(self.limiter, self.plans).account_of(request)
        except Unavailable:
            return []
        states = () if account is None else account.states(monotonic(), by_share=not self.limiter.uses_redis)
        return [
            VerifiedLimit(
                name=each.limit.name,
                quota=each.limit.quota,
                window_seconds=each.limit.seconds,
                remaining=max(0, each.remaining),
                resets_in_seconds=round(each.reset, 3),
            )
            for each in states
        ]


def _principal(principal: Principal) -> VerifiedPrincipal:
    return VerifiedPrincipal(
        kind=principal.kind, id=show(PREFIXES[principal.kind], principal.id), roles=list(principal.roles)
    )


def _tenant(principal: Principal) -> VerifiedTenant:
    tenant = principal.tenant
    return VerifiedTenant(id=show(TENANT, tenant.id), slug=tenant.slug, status=tenant.status)
