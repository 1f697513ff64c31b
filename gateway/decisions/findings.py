"""What the stages found, as the answer shows it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from billing.plans.errors import EntitlementRequired
from gateway.authorization.authorizer import Authorizer
from gateway.decisions.schemas import (
    AddressFinding,
    AuthorizationFinding,
    ConcurrencyFinding,
    CredentialFinding,
    Decision,
    EntitlementFinding,
    ExplainedPrincipal,
    LimitsFinding,
    OwnerFinding,
    RoleFinding,
    RouteFinding,
    Stage,
    TenantFinding,
    WindowFinding,
)
from gateway.decisions.subjects import Subject
from gateway.problems.documents import status_of
from gateway.request.route import Audience, Route
from gateway.throttle.account import Account
from gateway.throttle.errors import ConcurrencyLimited
from gateway.throttle.limiter import RequestLimiter
from tenants.api_keys.lineage import Granted
from tenants.api_keys.status import status_of as key_status_of
from tenants.errors import RateLimited, TenantryError
from tenants.identifiers import API_KEY, OPERATOR_KEY, USER, WORKLOAD_RULE, show
from tenants.principal import Principal, PrincipalKind

CodeOf = Callable[[Stage], str | None]
_AUDIENCES = {Audience.EVERYBODY: "public", Audience.TENANTS: "tenants", Audience.OPERATORS: "operators"}
PREFIXES = {
    PrincipalKind.API_KEY: API_KEY,
    PrincipalKind.USER: USER,
    PrincipalKind.OPERATOR: OPERATOR_KEY,
    PrincipalKind.WORKLOAD: WORKLOAD_RULE,
}


def decision_of(errors: Mapping[Stage, TenantryError]) -> Decision:
    """The first error in the order of the gate is what it answers."""
    stage = next((each for each in Stage if each in errors), None)
    if stage is None:
        return Decision(allowed=True, status=None, code=None, stage=None, message=None, retry_after=None)
    error = errors[stage]
    return Decision(
        allowed=False,
        status=status_of(error),
        code=error.code,
        stage=stage,
        message=error.message,
        retry_after=error.retry_after,
    )


def principal_of(subject: Subject) -> ExplainedPrincipal:
    return ExplainedPrincipal(
        kind=subject.kind, id=show(PREFIXES[subject.kind], subject.id), is_caller=subject.is_caller
    )


def route_finding(route: Route, code: CodeOf) -> RouteFinding:
    terms = route.terms
    return RouteFinding(
        template=route.template or None,
        permission=terms.guard.permission,
        audience=_AUDIENCES[terms.guard.audience],
        people_only=terms.guard.people_only,
        cost=terms.cost,
        budget="source" if terms.per_source is not None else terms.budget.name.lower(),
        code=code(Stage.ROUTE),
    )


def credential_finding(subject: Subject, client: str | None, permission: str | None, code: CodeOf) -> CredentialFinding:
    is_person = subject.kind is PrincipalKind.USER
    return CredentialFinding(
        state=subject.state,
        since=subject.since,
        expires_at=subject.expires_at,
        address=_address(subject, client, code),
        session=subject.is_caller if is_person else None,
        owners=[_owner(each, permission) for each in subject.line[1:]],
        code=code(Stage.CREDENTIAL) or code(Stage.ADDRESS),
    )


def tenant_finding(subject: Subject, code: CodeOf) -> TenantFinding:
    return TenantFinding(status=subject.tenant.status, code=code(Stage.TENANT))


def entitlement_finding(
    principal: Principal, feature: str | None, errors: Mapping[Stage, TenantryError]
) -> EntitlementFinding:
    """The limits find out whether the plan's windows can ever hold the request's cost."""
    found = (errors.get(each) for each in (Stage.LIMITS, Stage.ENTITLEMENT))
    code = next((each.code for each in found if isinstance(each, EntitlementRequired)), None)
    return EntitlementFinding(plan=principal.tenant.plan, feature=feature, code=code)


def limits_finding(limiter: RequestLimiter, cost: int, error: TenantryError | None, now: float) -> LimitsFinding:
    """The state of the account that the rehearsal has charged, as it was before."""
    account, shared = limiter.rehearsed, limiter.uses_redis
    replied_at = account.replied_at if account is not None and shared else None
    return LimitsFinding(
        windows=[] if account is None else _windows(account, cost, error, now, by_share=not shared),
        concurrency=None if account is None else _concurrency(account, error),
        shared=shared,
        age_seconds=None if replied_at is None else round(now - replied_at, 3),
        code=None if error is None else error.code,
    )


def authorization_finding(
    subject: Subject, permission: str | None, authorizer: Authorizer, code: CodeOf
) -> AuthorizationFinding | None:
    """What each role says. None without a principal."""
    principal = subject.principal
    if principal is None:
        return None
    judged = {} if permission is None else authorizer.judgements(principal, permission)
    return AuthorizationFinding(
        permission=permission,
        roles=[
            RoleFinding(
                role=role,
                policy="built_in" if found.policy.tenant is None else "tenant",
                revision=found.policy.revision,
                line=None if found.line is None else ["p", *found.line],
            )
            for role, found in judged.items()
        ],
        in_scopes=None if permission is None or principal.scopes is None else permission in principal.scopes,
        code=code(Stage.AUTHORIZATION),
    )


def _address(subject: Subject, client: str | None, code: CodeOf) -> AddressFinding:
    if subject.principal is not None and not subject.principal.networks:
        return AddressFinding.ANY
    if subject.principal is None or client is None:
        return AddressFinding.NOT_CONSIDERED
    return AddressFinding.ALLOWED if code(Stage.ADDRESS) is None else AddressFinding.NOT_ALLOWED


def _owner(granted: Granted, permission: str | None) -> OwnerFinding:
    grants = None if permission is None else permission in granted.permissions
    holder = granted.holder
    if granted.key is not None:
        state, name = key_status_of(granted.key, datetime.now(UTC)).value, show(API_KEY, granted.key.id)
    elif holder.user is not None:
        state, name = "gone" if granted.is_gone else "member", show(USER, holder.user)
    else:
        raise ValueError("an owner is a key or a person")
    return OwnerFinding(kind=holder.kind, id=name, state=state, grants=grants)


def _windows(
    account: Account, cost: int, error: TenantryError | None, now: float, *, by_share: bool
) -> list[WindowFinding]:
    charged = cost if error is None else 0
    named = account.exhausted_window(cost).name if isinstance(error, RateLimited) and not by_share else None
    return [
        WindowFinding(
            name=each.limit.name,
            quota=each.limit.quota,
            window_seconds=each.limit.seconds,
            remaining=each.remaining + charged,
            resets_in_seconds=round(each.reset, 3),
            refuses=each.remaining + charged < cost or each.limit.name == named,
        )
        for each in account.states(now, by_share=by_share)
    ]


def _concurrency(account: Account, error: TenantryError | None) -> ConcurrencyFinding | None:
    permits = account.permits
    if permits is None:
        return None
    began = 1 if error is None else 0
    refuses = isinstance(error, ConcurrencyLimited)
    return ConcurrencyFinding(limit=permits.limit, in_flight_here=permits.used - began, refuses=refuses)
