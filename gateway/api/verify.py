"""``POST /operator/v1/verify``: decisions on requests that the SaaS's own services have received."""

import asyncio
from collections.abc import Iterator
from typing import cast

from fastapi import Request, Response

from gateway.api.answers import answered
from gateway.authorization.guards import requires_verifier
from gateway.decisions.decider import AskedRequest
from gateway.decisions.verifier import Verifier
from gateway.decisions.verify_schemas import Verification, Verifications, VerifyBatch, VerifyRequest
from gateway.request.context import RequestContext, context_of
from gateway.request.route import MOST_VALUES
from gateway.routing.api_router import ManagementRouter
from gateway.routing.bounds import MIB
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.errors import FieldError, ValidationFailed

_PATH = "/operator/v1/verify"
_TOGETHER = ("missing", "Required: method and path are given together.")
_UNKNOWN = ("unknown_permission", "There is no permission of this name.")

router = ManagementRouter(tags=["verify"])


@router.post(_PATH, response_model=Verification)
@terms(requires_verifier, idempotent=False)
async def verify(request: Request, body: VerifyRequest) -> Response:
    """Decide on a request that you have received.

    It is decided as by the gate, and charged and counted. Give `method` and `path` of a declared route, or the
    `permission` that it takes, or the credential alone. A refusal is an answer too, with 200. Each call is charged, a
    repeated one as well.
    """
    _check(request, [("", body)])
    context = context_of(request.scope)
    verdict = await verifier_of(request).verify(_asked(body, context), context.request_id)
    context.log["decision"] = verdict.code or "allowed"
    return answered(verdict)


@router.post(f"{_PATH}/batch", response_model=Verifications)
@terms(requires_verifier, idempotent=False, body_limit=MIB, value_limit=MOST_VALUES)
async def verify_batch(request: Request, body: VerifyBatch) -> Response:
    """Decide on up to 100 requests, each by itself; the results are in their order."""
    _check(request, [(f"/requests/{at}", each) for at, each in enumerate(body.requests)])
    verifier, context = verifier_of(request), context_of(request.scope)
    asked = [_asked(each, context) for each in body.requests]
    verdicts = await asyncio.gather(*(verifier.verify(each, context.request_id) for each in asked))
    return answered(Verifications(results=list(verdicts)))


def verifier_of(request: Request) -> Verifier:
    """The verifier of the worker that answers."""
    return cast("Verifier", request.app.state.verifier)


def _check(request: Request, bodies: list[tuple[str, VerifyRequest]]) -> None:
    """Raises ValidationFailed for what is no request, and for permissions that do not exist."""
    known = {each.name for each in services_of(request).authorizer.permissions}
    faults = tuple(fault for pointer, body in bodies for fault in _faults(pointer, body, known))
    if faults:
        raise ValidationFailed(faults)


def _faults(pointer: str, body: VerifyRequest, known: set[str]) -> Iterator[FieldError]:
    if body.method is None and body.path is not None:
        yield FieldError(f"{pointer}/method", *_TOGETHER)
    if body.path is None and body.method is not None:
        yield FieldError(f"{pointer}/path", *_TOGETHER)
    if body.permission is not None and body.permission not in known:
        yield FieldError(f"{pointer}/permission", *_UNKNOWN)


def _asked(body: VerifyRequest, context: RequestContext) -> AskedRequest:
    host = context.fields.by_name.get(b"host", b"") if body.host is None else body.host.encode("ascii")
    return AskedRequest(
        credential=body.credential.get_secret_value(),
        method=body.method,
        path=body.path,
        permission=body.permission,
        cost=body.cost,
        host=host,
        client=body.client,
    )
