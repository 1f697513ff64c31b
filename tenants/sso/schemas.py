"""Requests and responses of single sign-on."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tenants.identifiers import SSO_DOMAIN, example_of, show
from tenants.outbound.urls import LONGEST_URL
from tenants.sso.domains import read_domain, record_name
from tenants.sso.models import SsoConnection, SsoDomain
from tenants.values.errors import with_pydantic_errors
from tenants.values.shown import SHOWN

MOST_GROUPS = 100  # that one connection maps to roles
_ISSUER = "https://login.acme.example"
_SECRET = "tn_sso_4fQd…7kPz"  # noqa: S105 - an example, not a secret

Issuer = Annotated[str, Field(min_length=1, max_length=LONGEST_URL, examples=[_ISSUER])]
ClientId = Annotated[str, Field(min_length=1, max_length=300, examples=["0oa1b2c3d4"]), SHOWN]
RoleGiven = Annotated[str, Field(min_length=1, max_length=50, examples=["member"])]
GroupName = Annotated[str, Field(min_length=1, max_length=200, examples=["engineering"]), SHOWN]
GroupsClaim = Annotated[str, Field(min_length=1, max_length=100, examples=["groups"]), SHOWN]
GroupRoles = Annotated[
    dict[GroupName, RoleGiven],
    Field(
        max_length=MOST_GROUPS,
        description="The role that members of each group have, in addition to others.",
        examples=[{"engineering": "admin"}],
    ),
]


class ConfigureConnection(BaseModel):
    """Body of ``PUT /v1/sso/connection``."""

    model_config = ConfigDict(extra="forbid")

    issuer: Annotated[Issuer, Field(description="URL of the provider, exactly as its metadata spells it.")]
    client_id: ClientId
    client_secret: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=1000,
            description="Never returned. Needed when issuer or client id are new; otherwise the stored one is kept.",
            examples=["a secret of the provider"],
        ),
    ] = None
    default_role: Annotated[RoleGiven, Field(description="The role of people who become members by signing in.")]
    groups_claim: Annotated[GroupsClaim | None, Field(description="The claim that lists a person's groups.")] = None
    group_roles: GroupRoles = {}
    enforced: Annotated[
        bool,
        Field(
            description="Refuse every other way to sign in, but for owners. Ends the sessions of the others.",
            examples=[False],
        ),
    ] = False


class ConnectionResponse(BaseModel):
    """The tenant's connection to its identity provider."""

    issuer: Issuer
    client_id: ClientId
    default_role: RoleGiven
    groups_claim: GroupsClaim | None
    group_roles: GroupRoles
    enforced: Annotated[bool, Field(description="Whether it is the only way to sign in.", examples=[False])]
    redirect_uri: Annotated[
        str,
        Field(
            description="Register this redirect URI at the provider.",
            examples=["https://api.example.com/v1/auth/sso/callback"],
        ),
    ]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, connection: SsoConnection, redirect_uri: str) -> "ConnectionResponse":
        """Convert a row."""
        return cls(
            issuer=connection.issuer,
            client_id=connection.client_id,
            default_role=connection.default_role,
            groups_claim=connection.groups_claim,
            group_roles=connection.group_roles,
            enforced=connection.enforced,
            redirect_uri=redirect_uri,
            created_at=connection.created_at,
            updated_at=connection.updated_at,
        )


class AddDomain(BaseModel):
    """Body of ``POST /v1/sso/domains``."""

    model_config = ConfigDict(extra="forbid")

    domain: Annotated[
        str,
        Field(
            max_length=253,
            description="Of e-mail addresses. A subdomain is a domain of its own.",
            examples=["acme.example"],
        ),
        AfterValidator(with_pydantic_errors(read_domain)),
    ]


class TxtRecord(BaseModel):
    """The DNS record that proves a domain; keep it, since it is looked up again."""

    name: Annotated[str, Field(examples=["_tenantry.acme.example"])]
    type: Annotated[str, Field(examples=["TXT"])] = "TXT"
    value: Annotated[str, Field(examples=["tenantry-domain-verification=6d1f…"])]


class SsoDomainResponse(BaseModel):
    """A mail domain of the tenant."""

    id: Annotated[str, Field(examples=[example_of(SSO_DOMAIN)])]
    domain: Annotated[str, Field(examples=["acme.example"])]
    record: TxtRecord
    verified_at: Annotated[datetime | None, Field(description="Null until it is proven.")]
    created_at: datetime

    @classmethod
    def of(cls, domain: SsoDomain) -> "SsoDomainResponse":
        """Convert a row."""
        return cls(
            id=show(SSO_DOMAIN, domain.id),
            domain=domain.domain,
            record=TxtRecord(name=record_name(domain.domain), value=domain.record),
            verified_at=domain.verified_at,
            created_at=domain.created_at,
        )


class StartSso(BaseModel):
    """Body of ``POST /v1/auth/sso/start``."""

    model_config = ConfigDict(extra="forbid")

    tenant: Annotated[
        str, Field(min_length=1, max_length=40, description="The tenant's slug.", examples=["acme"]), SHOWN
    ]
    return_to: Annotated[
        str | None,
        Field(
            max_length=LONGEST_URL,
            description="Where the browser goes in the end, with `code` or `error` in the query: a URL of an origin "
            "that the deployment or the tenant allows. Without it the callback answers with JSON.",
            examples=["https://app.example.com/signed-in"],
        ),
    ] = None


class SsoStarted(BaseModel):
    """Response of ``POST /v1/auth/sso/start``."""

    model_config = ConfigDict(frozen=True)

    url: Annotated[
        str, Field(description="Send the browser there.", examples=["https://login.acme.example/authorize?…"])
    ]
    verifier: Annotated[
        str,
        Field(
            description="Keep it where only this browser's session can read it, and send it with the code. It proves "
            "that the client that ends the sign-in has started it.",
            examples=[_SECRET],
        ),
    ]
    expires_in: Annotated[int, Field(description="Seconds within which the sign-in must end.", examples=[600])]


class SsoCode(BaseModel):
    """Response of the callback, for a sign-in that was started without ``return_to``."""

    model_config = ConfigDict(frozen=True)

    code: Annotated[str, Field(description="Valid once, for `POST /v1/auth/sso/token`.", examples=[_SECRET])]
    expires_in: Annotated[int, Field(description="Seconds.", examples=[60])]


class RedeemSso(BaseModel):
    """Body of ``POST /v1/auth/sso/token``."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(min_length=1, max_length=200, examples=[_SECRET])]
    verifier: Annotated[
        str, Field(min_length=1, max_length=200, description="Of the response to the start.", examples=[_SECRET])
    ]
