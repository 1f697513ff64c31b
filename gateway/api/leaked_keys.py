"""``POST /operator/v1/leaked-keys``: reports of keys that were found in public."""

from typing import Annotated

from fastapi import Header, Request
from pydantic import ValidationError

from gateway.authorization.guards import signed_or_operator
from gateway.problems.validation import validation_failed
from gateway.request.context import context_of
from gateway.request.origin import origin_of
from gateway.request.route import MOST_VALUES, Quota
from gateway.routing.api_router import ManagementRouter
from gateway.routing.body import read_body
from gateway.routing.strict_json import parse
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.errors import NotFound, SignatureInvalid
from tenants.leaked_keys.schemas import MOST_MATCHES, REPORT, ReportedMatch, Verdict
from tenants.leaked_keys.signature import MOST_BYTES
from tenants.principal import SYSTEM_ACTOR

_REPORTS = Quota(300, 60)  # a minute from one address
_REASON = "The key was reported as leaked."

# The endpoint reads it unparsed: the signature is of its bytes.
_BODY = {
    "requestBody": {
        "required": True,
        "description": f"At most {MOST_MATCHES} matches, in the form of GitHub's secret-scanning partner programme.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "array",
                    "items": ReportedMatch.model_json_schema(),
                    "examples": [
                        [
                            {
                                "token": "tn_live_4Kq9…T3vX",
                                "type": "tenantry_api_key",
                                "url": "https://github.com/octocat/Hello-World/blob/12345600/config.py",
                                "source": "content",
                            }
                        ]
                    ],
                }
            }
        },
    }
}

router = ManagementRouter(tags=["leaked keys"])


@router.post("/operator/v1/leaked-keys", openapi_extra=_BODY)
@terms(
    signed_or_operator,
    body_limit=MOST_BYTES,
    idempotent=False,  # a report that is sent again changes nothing
    errors=(SignatureInvalid,),
    operations=True,
    per_source=_REPORTS,
)
async def report_leaked_keys(
    request: Request,
    github_public_key_identifier: Annotated[
        str | None, Header(alias="Github-Public-Key-Identifier", description="Which key has signed the body.")
    ] = None,
    github_public_key_signature: Annotated[
        str | None,
        Header(
            alias="Github-Public-Key-Signature",
            description="ECDSA on P-256 with SHA-256 over the body, in base64 of its DER form.",
        ),
    ] = None,
) -> list[Verdict]:
    """Report API keys that were found in public. Each ends as its tenant has chosen; an operator key ends at once.

    Signed by one of the keys that the deployment trusts, or sent with an operator key of the role `admin`. 404 for a
    report without an operator key while the deployment trusts none.
    """
    services, origin = services_of(request), origin_of(request, _REASON)
    if context_of(request.scope).operator is not None:
        return await services.features.leaked_keys.end(_matches(await read_body(request)), origin)
    keys = services.settings.report_keys
    if keys is None:
        raise NotFound(detail="no keys are set that could sign a report")
    signature = keys.signature(github_public_key_identifier, github_public_key_signature)
    signature.verify(raw := await read_body(request))
    return await services.features.leaked_keys.end(_matches(raw), origin.by(SYSTEM_ACTOR))


def _matches(raw: bytes) -> list[ReportedMatch]:
    """Raises MalformedRequest, PayloadTooLarge and ValidationFailed."""
    try:
        return REPORT.validate_python(parse(raw, MOST_VALUES))
    except ValidationError as error:
        raise validation_failed(error.errors(include_url=False, include_input=False), within=("body",)) from None
