"""``POST /operator/v1/leaked-keys``: reports of keys that were found in public."""

from typing import Any

from fastapi import Request, Response
from pydantic import TypeAdapter, ValidationError

from gateway.api.answers import answered_document
from gateway.authorization.guards import signed_or_operator
from gateway.problems.errors import MalformedRequest, PayloadTooLarge
from gateway.problems.validation import validation_failed
from gateway.request.context import context_of
from gateway.request.origin import origin_of
from gateway.request.route import MOST_VALUES, Quota
from gateway.routing.api_router import ManagementRouter
from gateway.routing.body import read_body
from gateway.routing.strict_json import parse
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.errors import NotFound, SignatureInvalid, ValidationFailed
from tenants.leaked_keys.schemas import EXAMPLE, MOST_MATCHES, REPORT, ReportedMatch, Verdict
from tenants.leaked_keys.signature import MOST_BYTES
from tenants.principal import SYSTEM_ACTOR

_REPORTS = Quota(300, 60)  # a minute from one address
_REASON = "The key was reported as leaked."
_KEY_ID, _SIGNATURE = "Github-Public-Key-Identifier", "Github-Public-Key-Signature"
_VERDICTS = TypeAdapter(list[Verdict])


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


# The endpoint reads the body unparsed: the signature is of its bytes.
_REPORT = {
    "parameters": [
        _header(_KEY_ID, "The public key that the signature is to be verified with."),
        _header(_SIGNATURE, "ECDSA on P-256 with SHA-256 over the body, in base64 of its DER form."),
    ],
    "requestBody": {
        "required": True,
        "description": f"At most {MOST_MATCHES} matches, in the form of GitHub's secret-scanning partner programme.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "array",
                    "maxItems": MOST_MATCHES,
                    "items": ReportedMatch.model_json_schema(),
                    "examples": [[EXAMPLE]],
                }
            }
        },
    },
}

router = ManagementRouter(tags=["leaked keys"])


@router.post("/operator/v1/leaked-keys", response_model=list[Verdict], openapi_extra=_REPORT)
@terms(
    signed_or_operator,
    body_limit=MOST_BYTES,
    idempotent=False,  # a report that is sent again changes nothing
    errors=(SignatureInvalid, MalformedRequest, PayloadTooLarge, ValidationFailed, NotFound),
    operations=True,
    ends_rights=True,
    per_source=_REPORTS,
)
async def report_leaked_keys(request: Request) -> Response:
    """Report API keys that were found in public. Each ends as its tenant has chosen; an operator key ends at once.

    Signed by one of the keys that the deployment trusts, or sent with an operator key of the role `admin`. Without
    either, a deployment that trusts no keys answers 404.
    """
    services, origin = services_of(request), origin_of(request, _REASON)
    if context_of(request.scope).operator is None:
        raw, origin = await _signed(request), origin.by(SYSTEM_ACTOR)
    else:
        raw = await read_body(request)
    verdicts = await services.features.leaked_keys.end(_matches(raw), origin)
    return answered_document(_VERDICTS.dump_json(verdicts))


async def _signed(request: Request) -> bytes:
    """The body, if its signature is valid. Raises SignatureInvalid, and NotFound while no keys are set."""
    keys = services_of(request).settings.report_keys
    if keys is None:
        raise NotFound(detail="no keys are set that could sign a report")
    signature = keys.signature(request.headers.get(_KEY_ID), request.headers.get(_SIGNATURE))
    signature.verify(raw := await read_body(request))
    return raw


def _matches(raw: bytes) -> list[ReportedMatch]:
    """Raises MalformedRequest, PayloadTooLarge and ValidationFailed."""
    try:
        return REPORT.validate_python(parse(raw, MOST_VALUES))
    except ValidationError as error:
        raise validation_failed(error.errors(include_url=False, include_input=False), within=("body",)) from None
