"""Requests and responses of the OpenID AuthZEN Authorization API 1.0, sections 5 to 7.

Unknown members are ignored, as the standard demands of receivers; nothing here is stored.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

MOST_EVALUATIONS = 100
_Text = Annotated[str, Field(min_length=1, max_length=500)]
_Properties = dict[str, Any] | None

_EXAMPLE: dict[str, Any] = {
    "subject": {"type": "credential", "id": "caller", "properties": {"credential": "tn_live_…"}},
    "action": {"name": "read"},
    "resource": {"type": "contacts", "id": "any"},
}


class AuthZenSubject(BaseModel):
    """Who asks.

    ``credential``: ``properties.credential`` is the caller's API key or access token, and ``id`` any text. ``api_key``,
    ``user`` and ``workload``: the principal of the tenant ``properties.tenant`` with this id.
    ``properties.ip_address`` is the source address of the request.
    """

    type: _Text
    id: _Text
    properties: _Properties = None


class AuthZenAction(BaseModel):
    """The second part of a permission. ``properties.cost`` is what is charged; default 1."""

    name: _Text
    properties: _Properties = None


class AuthZenResource(BaseModel):
    """``type`` is the first part of a permission. Permissions are for all objects of a type, whatever ``id``."""

    type: _Text
    id: _Text
    properties: _Properties = None


class AuthZenEvaluation(BaseModel):
    """Body of ``POST /access/v1/evaluation``."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    subject: AuthZenSubject
    action: AuthZenAction
    resource: AuthZenResource
    context: _Properties = None


class Semantic(StrEnum):
    EXECUTE_ALL = "execute_all"
    DENY_ON_FIRST_DENY = "deny_on_first_deny"
    PERMIT_ON_FIRST_PERMIT = "permit_on_first_permit"


class AuthZenOptions(BaseModel):
    evaluations_semantic: Semantic = Semantic.EXECUTE_ALL


class AuthZenPart(BaseModel):
    """One of several evaluations: what it leaves out is that of the whole request."""

    subject: AuthZenSubject | None = None
    action: AuthZenAction | None = None
    resource: AuthZenResource | None = None
    context: _Properties = None


class AuthZenEvaluations(AuthZenPart):
    """Body of ``POST /access/v1/evaluations``. Without ``evaluations`` it is a single evaluation."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "subject": _EXAMPLE["subject"],
                    "resource": _EXAMPLE["resource"],
                    "evaluations": [{"action": {"name": "read"}}, {"action": {"name": "delete"}}],
                }
            ]
        }
    )

    evaluations: Annotated[list[AuthZenPart], Field(max_length=MOST_EVALUATIONS)] = []
    options: AuthZenOptions = AuthZenOptions()


class AuthZenDecision(BaseModel):
    """``context`` has what ``POST /operator/v1/verify`` answers, and the ``code`` of a refusal."""

    decision: bool
    context: dict[str, Any]


class AuthZenDecisions(BaseModel):
    """In the order of the evaluations, up to the one that ends them by ``options.evaluations_semantic``."""

    evaluations: list[AuthZenDecision]


class AuthZenMetadata(BaseModel):
    """Section 9 of the standard."""

    policy_decision_point: Annotated[str, Field(examples=["https://api.example.com"])]
    access_evaluation_endpoint: Annotated[str, Field(examples=["https://api.example.com/access/v1/evaluation"])]
    access_evaluations_endpoint: Annotated[str, Field(examples=["https://api.example.com/access/v1/evaluations"])]
