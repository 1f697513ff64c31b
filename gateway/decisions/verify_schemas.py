"""Requests and responses of ``POST /operator/v1/verify`` and ``/operator/v1/verify/batch``."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from gateway.decisions.schemas import CLIENT_ADDRESS, LONGEST_ADDRESS, LONGEST_PATH, METHOD
from gateway.identity.credential import MAX_LENGTH
from tenants.identifiers import API_KEY, TENANT, example_of
from tenants.principal import PrincipalKind, TenantStatus
from tenants.resources.costs import MOST_COST
from tenants.values.numbers import WHOLE

MOST_REQUESTS = 100  # of a batch
_EXAMPLE: dict[str, Any] = {"credential": "tn_live_…", "permission": "contacts:read"}
_HOST = r"^[A-Za-z0-9.\[\]:_-]{1,255}$"


class VerifyRequest(BaseModel):
    """Body of ``POST /operator/v1/verify``: a request of one of your callers, which you have received."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    credential: Annotated[
        SecretStr,
        Field(
            min_length=1,
            max_length=MAX_LENGTH,
            description="The caller's API key or access token, without `Bearer`. Never logged.",
            examples=[_EXAMPLE["credential"]],
        ),
    ]
    permission: Annotated[
        str | None,
        Field(
            max_length=100,
            description="That the caller must hold, a name from `GET /v1/permissions`; with a path beside what the"
            " route requires.",
            examples=[_EXAMPLE["permission"]],
        ),
    ] = None
    cost: Annotated[
        int | None,
        Field(
            ge=1,
            le=MOST_COST,
            description="Units that are charged to every window of the plan; default: the route's, else 1.",
            examples=[1],
        ),
        WHOLE,
    ] = None
    method: Annotated[str | None, Field(pattern=METHOD, description="Of the request.", examples=["GET"])] = None
    path: Annotated[
        str | None,
        Field(
            pattern=r"^/[!-~]*$",
            max_length=LONGEST_PATH,
            description="Of the request, as it was sent: percent-encoded. Its route says what is required and charged.",
            examples=["/v1/contacts"],
        ),
    ] = None
    client: Annotated[
        str | None,
        Field(
            max_length=LONGEST_ADDRESS,
            description="Source address of the request. Give it: keys that are bound to networks are refused without"
            " it, and failed credentials are limited by it.",
            examples=["203.0.113.7"],
        ),
        CLIENT_ADDRESS,
    ] = None
    host: Annotated[
        str | None,
        Field(
            pattern=_HOST, description="Host of the request; default: that of this one.", examples=["api.example.com"]
        ),
    ] = None


class VerifyBatch(BaseModel):
    """Body of ``POST /operator/v1/verify/batch``."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"requests": [_EXAMPLE]}]})

    requests: Annotated[list[VerifyRequest], Field(min_length=1, max_length=MOST_REQUESTS)]


class VerifiedPrincipal(BaseModel):
    kind: PrincipalKind
    id: Annotated[str, Field(examples=[example_of(API_KEY)])]
    roles: Annotated[list[str], Field(examples=[["member"]])]


class VerifiedTenant(BaseModel):
    id: Annotated[str, Field(examples=[example_of(TENANT)])]
    slug: Annotated[str, Field(examples=["acme"])]
    status: TenantStatus


class VerifiedPlan(BaseModel):
    code: Annotated[str, Field(examples=["pro"])]
    features: Annotated[dict[str, Any], Field(examples=[{"exports": True, "members": 10}])]


class VerifiedLimit(BaseModel):
    """At most ``quota`` in any ``window_seconds`` seconds."""

    name: Annotated[str, Field(examples=["sustained"])]
    quota: Annotated[int, Field(examples=[120])]
    window_seconds: Annotated[int, Field(examples=[60])]
    remaining: Annotated[int, Field(description="After this request.", examples=[57])]
    resets_in_seconds: Annotated[float, Field(description="Until more remains.", examples=[0.6])]


class Verification(BaseModel):
    """What the gate answers. Of an allowed request ``status``, ``code``, ``message`` and ``retry_after`` are null.

    ``principal``, ``tenant`` and ``plan`` are null while the credential is refused, or none is needed.
    """

    allowed: bool
    status: Annotated[int | None, Field(description="That the gate would refuse with.", examples=[None])]
    code: Annotated[str | None, Field(examples=[None])]
    message: Annotated[str | None, Field(examples=[None])]
    retry_after: Annotated[int | None, Field(description="Seconds.", examples=[None])]
    principal: VerifiedPrincipal | None
    tenant: VerifiedTenant | None
    plan: VerifiedPlan | None
    limits: Annotated[list[VerifiedLimit], Field(description="That the request was charged to.")]
    identity: Annotated[
        str | None,
        Field(
            description="Of an allowed request: the signed token that upstreams get as `Tenantry-Identity`.",
            examples=["eyJhbGciOiJFZDI1NTE5IiwidHlwIjoidGVuYW50cnktaWRlbnRpdHkrand0In0.…"],
        ),
    ]


class Verifications(BaseModel):
    """Response of ``POST /operator/v1/verify/batch``: in the order of the requests, each decided by itself."""

    results: list[Verification]
