"""The OpenID AuthZEN Authorization API 1.0: ``/access/v1/evaluation`` and ``/access/v1/evaluations``.

The standard differs from the other routes here: unknown members are ignored, what is malformed is answered with 400,
and the caller's ``X-Request-ID`` is the one of the response.
"""

import re
from typing import Any, TypeVar, cast

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError

from gateway.api.answers import answered
from gateway.authorization.guards import public, requires_verifier
from gateway.decisions.authzen import BadEvaluation, Evaluator
from gateway.decisions.authzen_schemas import (
    AuthZenDecision,
    AuthZenDecisions,
    AuthZenEvaluation,
    AuthZenEvaluations,
    AuthZenMetadata,
)
from gateway.problems.errors import PayloadTooLarge, UnsupportedMediaType
from gateway.problems.validation import validation_failed
from gateway.request.context import RequestContext, context_of
from gateway.request.route import MOST_VALUES
from gateway.routing.api_router import ManagementRouter
from gateway.routing.body import NO_BODY, StrictRequest, read_document
from gateway.routing.bounds import BODY_LIMIT, MIB
from gateway.routing.terms import terms
from gateway.services import services_of

_ONE, _SEVERAL = "/access/v1/evaluation", "/access/v1/evaluations"
_ERRORS = (BadEvaluation, PayloadTooLarge, UnsupportedMediaType)
_REQUEST_ID = b"x-request-id"
_USABLE_ID = re.compile(rb"[!-~]{1,128}")
_KEPT = {"cache-control": "public, max-age=3600"}

_Model = TypeVar("_Model", bound=BaseModel)

router = ManagementRouter(tags=["verify"])


def _body(model: type[BaseModel]) -> dict[str, Any]:
    """For the document: FastAPI does not see what the endpoint reads by itself."""
    schema = model.model_json_schema()
    schema = _inlined(schema, schema.pop("$defs", {}))
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        found = definitions[schema["$ref"].rpartition("/")[2]]
        schema = found | {name: each for name, each in schema.items() if name != "$ref"}
    return {name: _inlined(each, definitions) for name, each in schema.items()}


@router.post(_ONE, response_model=AuthZenDecision, openapi_extra=_body(AuthZenEvaluation))
@terms(requires_verifier, idempotent=False, body_limit=BODY_LIMIT, errors=_ERRORS)
async def evaluate_access(request: Request) -> Response:
    """Decide whether a subject may do something, in the form of OpenID AuthZEN 1.0.

    Charged and counted as one request of the subject; `action.properties.cost` says how much.
    """
    context = _with_callers_id(request)
    asked = await _read(request, AuthZenEvaluation)
    return answered(await _evaluator(request).one(asked, context.request_id))


@router.post(_SEVERAL, response_model=AuthZenDecisions, openapi_extra=_body(AuthZenEvaluations))
@terms(requires_verifier, idempotent=False, body_limit=MIB, value_limit=MOST_VALUES, errors=_ERRORS)
async def evaluate_accesses(request: Request) -> Response:
    """Decide up to 100 evaluations, in the form of OpenID AuthZEN 1.0.

    Each is charged that is decided. Without `evaluations` the answer is that of a single evaluation.
    """
    context = _with_callers_id(request)
    asked = await _read(request, AuthZenEvaluations)
    decisions = await _evaluator(request).several(asked, context.request_id)
    return answered(AuthZenDecisions(evaluations=decisions) if asked.evaluations else decisions[0])


@router.get("/.well-known/authzen-configuration", response_model=AuthZenMetadata)
@terms(public, operations=True)
async def read_authzen_metadata(request: Request) -> Response:
    """Read where OpenID AuthZEN evaluations are answered."""
    base = services_of(request).settings.public_url.rstrip("/")
    found = AuthZenMetadata(
        policy_decision_point=base,
        access_evaluation_endpoint=f"{base}{_ONE}",
        access_evaluations_endpoint=f"{base}{_SEVERAL}",
    )
    return Response(found.model_dump_json(), headers=_KEPT, media_type="application/json")


def _with_callers_id(request: Request) -> RequestContext:
    """The caller, an operator's service, gives the request its id. The log has both."""
    context = context_of(request.scope)
    sent = context.fields.by_name.get(_REQUEST_ID)
    if sent is not None and _USABLE_ID.fullmatch(sent):
        context.log["own_request_id"] = context.request_id
        context.request_id = sent.decode("ascii")
    return context


def _evaluator(request: Request) -> Evaluator:
    return cast("Evaluator", request.app.state.evaluator)


async def _read(request: Request, model: type[_Model]) -> _Model:
    """Raises BadEvaluation, MalformedRequest, PayloadTooLarge and UnsupportedMediaType."""
    document = await read_document(StrictRequest(request.scope, request.receive, MOST_VALUES))
    try:
        return model.model_validate({} if document is NO_BODY else document)
    except ValidationError as error:
        found = validation_failed(error.errors(include_url=False, include_input=False), within=("body",))
        raise BadEvaluation(found.errors) from None
