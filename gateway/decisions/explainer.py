"""Explains decisions of the gate: its own stages decide, in its order, on a request that is never sent (AZ10).

What a stage would change is replaced by a copy (``rehearsal``), so that nothing is spent, leased, remembered, counted
or recorded. The stages go on after the one that refuses, for their findings.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from urllib.parse import unquote

from starlette.types import Message, Scope

from gateway.authorization.authorizer import Authorizer
from gateway.authorization.entitlement import EntitlementStage
from gateway.authorization.stage import admit, check_permission
from gateway.decisions.findings import (
    authorization_finding,
    credential_finding,
    decision_of,
    entitlement_finding,
    limits_finding,
    principal_of,
    route_finding,
    tenant_finding,
)
from gateway.decisions.schemas import Explanation, Stage
from gateway.decisions.subjects import Subject
from gateway.decisions.targets import TargetReader
from gateway.http1.request_head import RequestHead
from gateway.identity.stage import check_address, check_tenant
from gateway.request.context import RequestContext
from gateway.request.fields import RequestFields
from gateway.request.route import Route
from gateway.routing.stage import RoutingStage
from gateway.throttle.limiter import RequestLimiter
from gateway.throttle.stage import Plans, ThrottleStage
from gateway.usage.stage import UsageStage
from tenants.errors import TenantryError

Work = Callable[[], Awaitable[None] | None]


@dataclass(frozen=True, slots=True)
class AskedRequest:
    """A request of which the decision is asked. ``scope`` is that of the request that asks: same host, same server."""

    method: str
    path: str  # percent-encoded, perhaps with a query
    client: str | None  # source address; None is not known
    scope: Scope


@dataclass(slots=True)
class Trial:
    """What the stages raised."""

    errors: dict[Stage, TenantryError] = field(default_factory=dict)

    async def run(self, stage: Stage, work: Work) -> None:
        """Let a stage decide."""
        try:
            waiting = work()
            if waiting is not None:
                await waiting
        except TenantryError as error:
            self.errors[stage] = error.with_traceback(None)

    def code(self, stage: Stage) -> str | None:
        """The code that the stage refuses with."""
        error = self.errors.get(stage)
        return None if error is None else error.code


@dataclass(frozen=True, slots=True)
class Explainer:
    """Holds the stages of the gate whose code changes nothing, and the parts of those that would."""

    routing: RoutingStage
    usage: UsageStage
    limiter: RequestLimiter
    plans: Plans
    authorizer: Authorizer
    entitlement: EntitlementStage

    async def request(self, subject: Subject, asked: AskedRequest) -> Explanation:
        """What the gate would answer to this request of the subject."""
        trial = Trial()
        await _judge_credential(subject, asked.client, trial)
        request = self._routed(asked, trial)
        if request is None or request.route is None:
            return _explanation(subject, trial, asked.client)
        if request.route.terms.authenticates:
            trial.errors.clear()  # the endpoint judges the credential, which the gate does not look at
        try:
            return await self._judged(subject, request, request.route, asked.client, trial)
        finally:
            request.close()

    async def permission(self, subject: Subject, permission: str, client: str | None) -> Explanation:
        """Whether the subject has the permission, whatever route needs it."""
        trial, authorizer = Trial(), self.authorizer.rehearsal()
        await _judge_credential(subject, client, trial)
        if (principal := subject.principal) is not None:
            await trial.run(Stage.AUTHORIZATION, lambda: check_permission(principal, permission, authorizer))
        explanation = _explanation(subject, trial, client, permission)
        explanation.authorization = authorization_finding(subject, permission, authorizer, trial.code)
        return explanation

    async def _judged(
        self, subject: Subject, request: RequestContext, route: Route, client: str | None, trial: Trial
    ) -> Explanation:
        """The stages after identity, as in ``gateway/app.py``; tests/architecture/test_explained_stages.py compares."""
        limiter, authorizer = self.limiter.rehearsal(), self.authorizer.rehearsal()
        is_limited = route.terms.per_source is None or client is not None
        if subject.principal is not None:
            request.principal = subject.principal
            if is_limited:
                await trial.run(Stage.LIMITS, lambda: ThrottleStage(limiter, self.plans)(request))
            await trial.run(Stage.USAGE, lambda: self.usage(request))
            await trial.run(Stage.AUTHORIZATION, lambda: admit(request, route.terms.guard, authorizer))
            await trial.run(Stage.ENTITLEMENT, lambda: self.entitlement(request))
        if not route.method:  # a route of the table that refuses: 404 or 405
            await trial.run(Stage.ROUTE, lambda: route.app(request.scope, _no_body, _send_nothing))
        explanation = _explanation(subject, trial, client, route.terms.guard.permission)
        explanation.route = route_finding(route, trial.code)
        if subject.principal is not None:
            error = trial.errors.get(Stage.LIMITS)
            explanation.entitlement = entitlement_finding(subject.principal, route.terms.feature, trial.errors)
            if is_limited:
                explanation.limits = limits_finding(limiter, route.terms.cost, error, monotonic())
            explanation.authorization = authorization_finding(
                subject, route.terms.guard.permission, authorizer, trial.code
            )
        return explanation

    def _routed(self, asked: AskedRequest, trial: Trial) -> RequestContext | None:
        """The request as the server and the routing stage make it; None when it is not valid HTTP."""
        try:
            head = TargetReader().read(asked.method.encode("ascii"), asked.path.encode("ascii"))
            request = _context(head, asked)
            self.routing(request)
        except TenantryError as error:
            trial.errors[Stage.HTTP] = error.with_traceback(None)
            return None
        return request


def _context(head: RequestHead, asked: AskedRequest) -> RequestContext:
    path, root = head.path.decode("ascii"), asked.scope.get("root_path", "")
    headers = [each for each in asked.scope["headers"] if each[0] == b"host"]
    scope: Scope = {
        **asked.scope,
        "method": head.method,
        "path": root + unquote(path),
        "raw_path": root.encode() + head.path,
        "query_string": head.query,
        "headers": headers,
        "path_params": {},
        "state": {},
    }
    return RequestContext(scope, RequestFields.of(headers), _no_body, "", asked.client or "")


async def _judge_credential(subject: Subject, client: str | None, trial: Trial) -> None:
    """What the identity stage decides."""
    principal = subject.principal
    if subject.refusal is not None:
        trial.errors[Stage.CREDENTIAL] = subject.refusal()
    await trial.run(Stage.TENANT, lambda: check_tenant(subject.tenant))
    if principal is not None and client is not None:
        await trial.run(Stage.ADDRESS, lambda: check_address(principal, client))


def _explanation(subject: Subject, trial: Trial, client: str | None, permission: str | None = None) -> Explanation:
    """The decision, and the findings that every explanation has."""
    return Explanation(
        decision=decision_of(trial.errors),
        principal=principal_of(subject),
        route=None,
        credential=credential_finding(subject, client, permission, trial.code),
        tenant=tenant_finding(subject, trial.code),
        entitlement=None,
        limits=None,
        authorization=None,
    )


async def _no_body() -> Message:
    return {"type": "http.disconnect"}


async def _send_nothing(_message: Message) -> None:
    """A route that refuses raises before it answers."""
