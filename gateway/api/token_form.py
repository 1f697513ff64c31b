"""The parameters of a token request, and how the document describes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.routing.form import FORM_MEDIA_TYPE
from tenants.identifiers import API_KEY, WORKLOAD_RULE, WorkloadRuleId, example_of, read
from tenants.oauth.errors import InvalidTarget, InvalidTokenRequest, SubjectTokenRefused

CLIENT_CREDENTIALS = "client_credentials"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - RFC 8693 section 2.1
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - RFC 8693 section 3
_JWT, _ID_TOKEN = "urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"


@dataclass(frozen=True, slots=True)
class ExchangeForm:
    """The parameters of a token exchange that are read."""

    rule: WorkloadRuleId
    subject_token: str = field(repr=False)
    scope: str | None


def read_exchange(form: Mapping[str, str], own_targets: frozenset[str]) -> ExchangeForm:
    """Raises InvalidTokenRequest, InvalidTarget, and SubjectTokenRefused for what is the id of no rule."""
    for name in ("client_id", "subject_token", "subject_token_type"):
        if name not in form:
            raise InvalidTokenRequest(message=f"Parameter {name} is missing.")
    if form["subject_token_type"] not in {_JWT, _ID_TOKEN}:
        raise InvalidTokenRequest(message="Parameter subject_token_type must be the type jwt or id_token of RFC 8693.")
    if form.get("requested_token_type", ACCESS_TOKEN) != ACCESS_TOKEN:
        raise InvalidTokenRequest(message="Parameter requested_token_type must be the type access_token of RFC 8693.")
    if "actor_token" in form or "client_secret" in form:
        raise InvalidTokenRequest(message="Parameters actor_token and client_secret are not used in an exchange.")
    if not {form[name] for name in ("resource", "audience") if name in form} <= own_targets:
        raise InvalidTarget
    rule = read(WORKLOAD_RULE, form["client_id"])
    if rule is None:
        raise SubjectTokenRefused(detail="client_id is the id of no rule")
    return ExchangeForm(WorkloadRuleId(rule), form["subject_token"], form.get("scope"))


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


_SCOPE = _text(
    "Permissions, separated by spaces: the token has no other ones. Without it, all that the credential has.",
    examples=["contacts:read"],
)
_CLIENT_CREDENTIALS = {
    "type": "object",
    "title": "ClientCredentials",
    "required": ["grant_type"],
    "properties": {
        "grant_type": {"type": "string", "const": CLIENT_CREDENTIALS},
        "client_id": _text("The id of the API key; may be left out.", examples=[example_of(API_KEY)]),
        "client_secret": _text("The API key, unless HTTP Basic sends it.", examples=["tn_live_4Kq9…T3vX"]),
        "scope": _SCOPE,
    },
}
_TOKEN_EXCHANGE = {
    "type": "object",
    "title": "TokenExchange",
    "required": ["grant_type", "client_id", "subject_token", "subject_token_type"],
    "properties": {
        "grant_type": {"type": "string", "const": TOKEN_EXCHANGE},
        "client_id": _text("The id of the workload rule.", examples=[example_of(WORKLOAD_RULE)]),
        "subject_token": _text("The token that the issuer has signed for the workload.", examples=["eyJhbGciOi…"]),
        "subject_token_type": {"type": "string", "enum": [_JWT, _ID_TOKEN]},
        "requested_token_type": {"type": "string", "const": ACCESS_TOKEN},
        "resource": _text("If sent, the URL of this API."),
        "audience": _text("If sent, the URL of this API or the `aud` of its tokens."),
        "scope": _SCOPE,
    },
}
TOKEN_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        FORM_MEDIA_TYPE: {
            "schema": {"oneOf": [_CLIENT_CREDENTIALS, _TOKEN_EXCHANGE]},
            "example": {"grant_type": CLIENT_CREDENTIALS, "client_secret": "tn_live_4Kq9…T3vX"},
        }
    },
}
