"""``/v1/decisions``: why a request is allowed or refused."""

from typing import cast

from fastapi import Request, Response

from gateway.api.answers import answered
from gateway.authorization.guards import requires
from gateway.authorization.stage import check_permission
from gateway.decisions.explainer import AskedRequest, Explainer
from gateway.decisions.schemas import ExplainDecision, Explanation
from gateway.decisions.subjects import Subject, Subjects
from gateway.request.context import context_of, principal_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import Services, services_of
from tenants.errors import FieldError, NotFound, ValidationFailed
from tenants.identifiers import API_KEY, USER, WORKLOAD_RULE, read
from tenants.principal import PrincipalKind

_EXPLAIN = "decisions:explain"
_MISSING = ("missing", "Required, unless a permission is given.")
_BOTH = ("not_allowed", "Give method and path, or a permission, not both.")

router = ManagementRouter(tags=["decisions"])


@router.post("/v1/decisions/explain", response_model=Explanation)
@terms(requires(_EXPLAIN, for_others=True), idempotent=False, errors=(NotFound,))
async def explain_decision(request: Request, body: ExplainDecision) -> Response:
    """Explain what the gate would answer to a principal of the tenant, and why.

    The stages of the gate decide, and nothing changes: no limit is charged, no use is recorded. `method` and `path` ask
    for a request, `permission` for one permission. You may always ask it about yourself; for another principal you need
    the permission `decisions:explain`.
    """
    services = services_of(request)
    _check(body, services)
    subject = await _subject(request, body, services)
    explainer = cast("Explainer", request.app.state.explainer)
    client = body.client or (context_of(request.scope).client if subject.is_caller else None)
    if body.permission is not None:
        explanation = await explainer.permission(subject, body.permission, client)
    else:
        asked = AskedRequest(body.method or "", body.path or "", client, request.scope)
        explanation = await explainer.request(subject, asked)
    return answered(explanation)


def _check(body: ExplainDecision, services: Services) -> None:
    """Raises ValidationFailed unless the body asks one question that has an answer."""
    request = {"/method": body.method, "/path": body.path}
    if body.permission is None:
        missing = tuple(FieldError(pointer, *_MISSING) for pointer, value in request.items() if value is None)
        if missing:
            raise ValidationFailed(missing)
    elif body.method is not None or body.path is not None:
        raise ValidationFailed.at("/permission", *_BOTH)
    elif body.permission not in {each.name for each in services.authorizer.permissions}:
        raise ValidationFailed.at("/permission", "unknown_permission", "There is no permission of this name.")


async def _subject(request: Request, body: ExplainDecision, services: Services) -> Subject:
    """Raises Forbidden for another principal without the permission, and NotFound for one that the tenant lacks."""
    caller, named = principal_of(request.scope), body.principal
    subjects = Subjects(services.lookup, services.token_lookup, services.database)
    if named is None and caller.kind is PrincipalKind.OPERATOR:
        raise ValidationFailed.at("/principal", "missing", "Required: an operator is no principal of the tenant.")
    if named is None or caller.id in {read(each, named) for each in (API_KEY, USER, WORKLOAD_RULE)}:
        return await subjects.caller(caller)
    check_permission(caller, _EXPLAIN, services.authorizer, services.features.decisions)
    return await subjects.named(caller.tenant, named)
