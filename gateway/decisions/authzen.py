"""The questions of the OpenID AuthZEN Authorization API 1.0, put to the gate.

Action and resource name a permission: ``resource.type:action.name``. An evaluation is decided, charged and counted as
one request that needs this permission.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from gateway.decisions.authzen_schemas import (
    AuthZenDecision,
    AuthZenEvaluation,
    AuthZenEvaluations,
    AuthZenPart,
    AuthZenSubject,
    Semantic,
)
from gateway.decisions.decider import AskedRequest
from gateway.decisions.schemas import read_address
from gateway.decisions.subjects import Subjects
from gateway.decisions.verifier import Verifier
from gateway.identity.acting import FindTenant
from gateway.identity.credential import MAX_LENGTH
from gateway.problems.errors import MalformedRequest
from tenants.errors import FieldError, NotFound
from tenants.identifiers import TENANT, TenantId, read
from tenants.principal import Principal, PrincipalKind
from tenants.resources.costs import MOST_COST, is_cost
from tenants.values.errors import BadValue

_CREDENTIAL = "credential"
_KINDS = {each.value: each for each in (PrincipalKind.API_KEY, PrincipalKind.USER, PrincipalKind.WORKLOAD)}
_MOST_PRINCIPALS = 10_000

NO_PERMISSION: dict[str, Any] = {
    "code": "unknown_permission",
    "message": "There is no permission resource.type:action.name of these names.",
}
NO_SUBJECT: dict[str, Any] = {"code": "not_found", "message": "There is no subject of this type and id in the tenant."}


class BadEvaluation(MalformedRequest):
    """The standard has 400 for what lacks a required member, or has one of the wrong type."""

    message = "The request is no valid evaluation. See the list of errors."

    def __init__(self, errors: tuple[FieldError, ...]) -> None:
        super().__init__()
        self.errors = errors

    @classmethod
    def at(cls, pointer: str, message: str) -> "BadEvaluation":
        """With one invalid value."""
        return cls((FieldError(pointer, "invalid", message),))


class _Question(NamedTuple):
    """An evaluation as the gate is asked it."""

    subject: AuthZenSubject
    request: AskedRequest


@dataclass(frozen=True, slots=True)
class Evaluator:
    """One per worker."""

    verifier: Verifier
    subjects: Subjects
    find_tenant: FindTenant
    known: Callable[[], set[str]]  # names of all permissions
    # The same object for the same principal: limits, usage and identities are kept by it.
    principals: dict[tuple[TenantId, str], Principal] = field(default_factory=dict)

    async def one(self, asked: AuthZenEvaluation, request_id: str) -> AuthZenDecision:
        """Raises BadEvaluation, and Unavailable when the subject cannot be looked up."""
        return await self._answer(_question(asked, ""), request_id)

    async def several(self, asked: AuthZenEvaluations, request_id: str) -> list[AuthZenDecision]:
        """In order; a semantic other than ``execute_all`` ends with the decision that it names.

        Raises BadEvaluation before anything is decided.
        """
        questions = [_question(each, f"/evaluations/{at}") for at, each in enumerate(_complete(asked))]
        semantic = asked.options.evaluations_semantic
        if semantic is Semantic.EXECUTE_ALL:
            return list(await asyncio.gather(*(self._answer(each, request_id) for each in questions)))
        found: list[AuthZenDecision] = []
        for each in questions:
            found.append(await self._answer(each, request_id))
            if found[-1].decision is (semantic is Semantic.PERMIT_ON_FIRST_PERMIT):
                break
        return found

    async def _answer(self, question: _Question, request_id: str) -> AuthZenDecision:
        subject, request = question
        if request.permission not in self.known():
            return AuthZenDecision(decision=False, context=NO_PERMISSION)
        if request.credential is not None:
            return await self._verified(request, request_id)
        try:
            found = await self._named(subject)
        except NotFound:
            return AuthZenDecision(decision=False, context=NO_SUBJECT)
        if isinstance(found, Principal):
            return await self._verified(replace(request, principal=found), request_id)
        return AuthZenDecision(decision=False, context=found)

    async def _verified(self, request: AskedRequest, request_id: str) -> AuthZenDecision:
        verdict = await self.verifier.verify(request, request_id)
        return AuthZenDecision(decision=verdict.allowed, context=verdict.model_dump(mode="json", exclude={"allowed"}))

    async def _named(self, subject: AuthZenSubject) -> Principal | dict[str, Any]:
        """The principal, or the context of a refusal. Raises NotFound."""
        kind, tenant_id = _KINDS.get(subject.type), _tenant(subject)
        tenant = None if kind is None or tenant_id is None else await self.find_tenant(tenant_id)
        if tenant is None:
            raise NotFound
        found = await self.subjects.named(tenant, subject.id)
        if found.kind is not kind:
            raise NotFound
        if found.principal is None:
            refusal = found.refusal() if found.refusal is not None else NotFound()
            return {"code": refusal.code, "message": refusal.message}
        return self._kept((tenant.id, subject.id), found.principal)

    def _kept(self, name: tuple[TenantId, str], principal: Principal) -> Principal:
        kept = self.principals.get(name)
        if kept == principal:
            return kept
        if len(self.principals) >= _MOST_PRINCIPALS:
            del self.principals[next(iter(self.principals))]
        self.principals[name] = principal
        return principal


def _complete(asked: AuthZenEvaluations) -> Iterator[AuthZenEvaluation]:
    """Each evaluation with what it takes from the whole request. Raises BadEvaluation."""
    for at, each in enumerate(asked.evaluations or [AuthZenPart()]):
        yield _completed(each, asked, f"/evaluations/{at}" if asked.evaluations else "")


def _completed(part: AuthZenPart, asked: AuthZenPart, pointer: str) -> AuthZenEvaluation:
    subject, action, resource = (
        part.subject or asked.subject,
        part.action or asked.action,
        part.resource or asked.resource,
    )
    if subject is None or action is None or resource is None:
        found = {"subject": subject, "action": action, "resource": resource}
        missing = (FieldError(f"{pointer}/{name}", "missing", "Required.") for name, each in found.items() if not each)
        raise BadEvaluation(tuple(missing))
    context = asked.context if part.context is None else part.context
    return AuthZenEvaluation(subject=subject, action=action, resource=resource, context=context)


def _question(asked: AuthZenEvaluation, pointer: str) -> _Question:
    """Raises BadEvaluation."""
    request = AskedRequest(
        credential=_credential(asked.subject, pointer) if asked.subject.type == _CREDENTIAL else None,
        permission=f"{asked.resource.type}:{asked.action.name}",
        cost=_cost(asked, pointer),
        client=_client(asked.subject, pointer),
    )
    return _Question(asked.subject, request)


def _credential(subject: AuthZenSubject, pointer: str) -> str:
    found = (subject.properties or {}).get("credential")
    if isinstance(found, str) and 0 < len(found) <= MAX_LENGTH:
        return found
    raise BadEvaluation.at(f"{pointer}/subject/properties/credential", "Must be an API key or an access token.")


def _cost(asked: AuthZenEvaluation, pointer: str) -> int | None:
    found = (asked.action.properties or {}).get("cost")
    if found is None or is_cost(found):
        return found
    message = f"Must be a whole number from 1 to {MOST_COST}."
    raise BadEvaluation.at(f"{pointer}/action/properties/cost", message)


def _client(subject: AuthZenSubject, pointer: str) -> str | None:
    found = (subject.properties or {}).get("ip_address")
    if found is None:
        return None
    try:
        return read_address(str(found))
    except BadValue as error:
        raise BadEvaluation.at(f"{pointer}/subject/properties/ip_address", error.message) from None


def _tenant(subject: AuthZenSubject) -> TenantId | None:
    found = (subject.properties or {}).get("tenant")
    identifier = read(TENANT, found) if isinstance(found, str) else None
    return None if identifier is None else TenantId(identifier)
