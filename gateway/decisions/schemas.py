"""Request and response of ``POST /v1/decisions/explain``."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tenants.api_keys.lineage import OwnerKind
from tenants.api_keys.status import KeyStatus
from tenants.identifiers import API_KEY, USER, WORKLOAD_RULE, example_of, pattern_of
from tenants.principal import PrincipalKind, TenantStatus
from tenants.values.errors import BadValue, with_pydantic_errors
from tenants.values.networks import plain_address

LONGEST_ADDRESS = 60  # characters
LONGEST_PATH = 8_000  # characters: less than what the server accepts, so that the body is what is refused
METHOD = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}$"
_ID = "|".join(map(pattern_of, (API_KEY, USER, WORKLOAD_RULE)))


def read_address(text: str) -> str:
    """The address in canonical form. Raises BadValue."""
    try:
        if "%" not in text:
            return str(plain_address(text))
    except ValueError:
        pass
    raise BadValue("bad_address", "Must be an IPv4 or IPv6 address, without a zone id.")


CLIENT_ADDRESS = AfterValidator(with_pydantic_errors(read_address))


class ExplainDecision(BaseModel):
    """Body of ``POST /v1/decisions/explain``: ``method`` and ``path``, or ``permission``."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"method": "GET", "path": "/v1/usage"}]})

    method: Annotated[
        str | None,
        Field(pattern=METHOD, description="Of a request.", examples=["GET"]),
    ] = None
    path: Annotated[
        str | None,
        Field(
            pattern=r"^/[!-~]*$",
            max_length=LONGEST_PATH,
            description="Of a request, as it is sent: percent-encoded. A query is ignored, as by the gate.",
            examples=["/v1/usage"],
        ),
    ] = None
    permission: Annotated[
        str | None,
        Field(max_length=100, description="A name from `GET /v1/permissions`.", examples=["usage:read"]),
    ] = None
    principal: Annotated[
        str | None,
        Field(
            pattern=_ID,
            description="An API key, a member or a workload rule of the tenant; default: you. Another principal than"
            " yourself needs the permission `decisions:explain`.",
            examples=[example_of(API_KEY)],
        ),
    ] = None
    client: Annotated[
        str | None,
        Field(max_length=LONGEST_ADDRESS, description="Source address of the request; default: your own, for you."),
        CLIENT_ADDRESS,
    ] = None


class Stage(StrEnum):
    """What decides, in the order of the gate."""

    HTTP = "http"  # the request is not valid HTTP: it never reaches the gate
    CREDENTIAL = "credential"
    TENANT = "tenant"
    ADDRESS = "address"
    LIMITS = "limits"
    USAGE = "usage"
    AUTHORIZATION = "authorization"
    ENTITLEMENT = "entitlement"
    ROUTE = "route"


Code = Annotated[
    str | None,
    Field(description="The error code that this alone would be answered with; null when it allows.", examples=[None]),
]


class Decision(BaseModel):
    """What the gate answers. Null members: the request is allowed, and its endpoint answers."""

    allowed: bool
    status: Annotated[int | None, Field(examples=[403])]
    code: Annotated[str | None, Field(examples=["forbidden"])]
    stage: Annotated[Stage | None, Field(description="The first that refuses.", examples=["authorization"])]
    message: Annotated[str | None, Field(examples=["Permission usage:read is required."])]
    retry_after: Annotated[int | None, Field(description="Seconds.", examples=[None])]


class ExplainedPrincipal(BaseModel):
    kind: PrincipalKind
    id: Annotated[str, Field(examples=[example_of(API_KEY)])]
    is_caller: Annotated[bool, Field(examples=[True])]


class RouteFinding(BaseModel):
    """The route that the path and the method lead to, and its terms."""

    template: Annotated[str | None, Field(description="Null for an unknown path.", examples=["/v1/usage"])]
    permission: Annotated[str | None, Field(examples=["usage:read"])]
    audience: Annotated[str, Field(description="`public`, `tenants` or `operators`.", examples=["tenants"])]
    people_only: Annotated[bool, Field(description="API keys are refused.", examples=[False])]
    cost: Annotated[int, Field(examples=[1])]
    budget: Annotated[
        str, Field(description="What is charged: `plan`, `management`, `scim` or `source`.", examples=["management"])
    ]
    code: Code


class OwnerFinding(BaseModel):
    """A key or a person whose rights bound the key."""

    kind: OwnerKind
    id: Annotated[str, Field(examples=[example_of(USER)])]
    state: Annotated[
        str, Field(description="Of a key its status; of a person `member`, or `gone`.", examples=["member"])
    ]
    grants: Annotated[
        bool | None, Field(description="Whether the owner holds the permission now; null when none is needed.")
    ]


class CredentialState(StrEnum):
    """A key's own status, or what is wrong with its owners; of a person, whether they are disabled."""

    ACTIVE = KeyStatus.ACTIVE.value
    ROTATING = KeyStatus.ROTATING.value
    DISABLED = KeyStatus.DISABLED.value
    EXPIRED = KeyStatus.EXPIRED.value
    REVOKED = KeyStatus.REVOKED.value
    BOUND_BY_OWNER = "bound_by_owner"  # an owner has ended or left, or no address is allowed by all of them


class AddressFinding(StrEnum):
    ANY = "any"  # the credential is bound to no network
    ALLOWED = "allowed"
    NOT_ALLOWED = "not_allowed"
    NOT_CONSIDERED = "not_considered"  # no ``client`` was given


class CredentialFinding(BaseModel):
    """The state of the principal's credential."""

    state: CredentialState
    since: Annotated[datetime | None, Field(description="When the state began, if it is known.")]
    expires_at: datetime | None
    address: AddressFinding
    session: Annotated[
        bool | None,
        Field(
            description="Of a person: whether a session was considered. Another person's sessions are not: the answer"
            " is that for a valid access token. Null for a key.",
            examples=[None],
        ),
    ]
    owners: Annotated[list[OwnerFinding], Field(description="Of a key: its owners, the nearest first.")]
    code: Code


class TenantFinding(BaseModel):
    status: Annotated[TenantStatus, Field(description="`behind`: its schema must be migrated first.")]
    code: Code


class EntitlementFinding(BaseModel):
    """Whether the plan includes the request. What a feature counts, such as members, its endpoint checks."""

    plan: Annotated[str, Field(examples=["pro"])]
    feature: Annotated[str | None, Field(description="That the route requires of the plan.", examples=["exports"])]
    code: Code


class WindowFinding(BaseModel):
    """A limit: at most ``quota`` in any ``window_seconds`` seconds."""

    name: Annotated[str, Field(examples=["sustained"])]
    quota: Annotated[int, Field(examples=[120])]
    window_seconds: Annotated[int, Field(examples=[60])]
    remaining: Annotated[int, Field(description="Before this request.", examples=[57])]
    resets_in_seconds: Annotated[float, Field(description="Until more remains.", examples=[0.6])]
    refuses: Annotated[bool, Field(description="Less remains than the request costs.", examples=[False])]


class ConcurrencyFinding(BaseModel):
    limit: Annotated[int, Field(examples=[20])]
    in_flight_here: Annotated[int, Field(description="Requests in flight on the worker that answers.", examples=[3])]
    refuses: bool


class LimitsFinding(BaseModel):
    """What the request would be charged to. Nothing was charged."""

    windows: list[WindowFinding]
    concurrency: ConcurrencyFinding | None
    shared: Annotated[
        bool,
        Field(
            description="The state is that of all workers. False: the store of counters is unavailable, and the worker"
            " that answers enforces its own share of the limits.",
            examples=[True],
        ),
    ]
    age_seconds: Annotated[
        float | None, Field(description="Since the worker last read the state of all workers.", examples=[0.0])
    ]
    code: Code


class RoleFinding(BaseModel):
    """One role of the principal, and what its policy says."""

    role: Annotated[str, Field(examples=["admin"])]
    policy: Annotated[str, Field(description="`built_in`, or `tenant` for roles of its own.", examples=["built_in"])]
    revision: Annotated[int, Field(description="Of the policy.", examples=[1])]
    line: Annotated[
        list[str] | None,
        Field(
            description="The policy line that allows: `p, role, object, action`. Null: no line does.",
            examples=[["p", "admin", "usage", "read"]],
        ),
    ]


class AuthorizationFinding(BaseModel):
    permission: Annotated[str | None, Field(description="Null when none is needed.", examples=["usage:read"])]
    roles: list[RoleFinding]
    in_scopes: Annotated[
        bool | None,
        Field(
            description="Whether the key's scopes, as its owners bound them, have it; null for no restriction.",
            examples=[None],
        ),
    ]
    code: Code


class Explanation(BaseModel):
    """The decision, then what each stage finds.

    A finding is null where it cannot be made: without a principal, because the credential is refused, or without a
    request, because a permission was asked for.
    """

    decision: Decision
    principal: ExplainedPrincipal
    route: RouteFinding | None
    credential: CredentialFinding
    tenant: TenantFinding
    entitlement: EntitlementFinding | None
    limits: LimitsFinding | None
    authorization: AuthorizationFinding | None
