"""Requests and responses of sign-in, and of a person's sessions."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tenants.identifiers import SESSION, TENANT, SignInId, TenantId, example_of, show
from tenants.sign_in.repository import OwnSession, OwnTenant
from tenants.values.shown import SHOWN

_REFRESH_TOKEN = "tn_ref_7Zc2…m0Qs"  # noqa: S105 - an example, not a secret
_MFA_TOKEN = "tn_mfa_4hQ9…x2Lk"  # noqa: S105 - as above

TenantSlug = Annotated[
    str, Field(min_length=1, max_length=40, description="The tenant's slug.", examples=["acme"]), SHOWN
]


class LoginRequest(BaseModel):
    """Body of ``POST /v1/auth/login``."""

    model_config = ConfigDict(extra="forbid")

    email: Annotated[str, Field(min_length=1, max_length=320, examples=["ada@example.com"]), SHOWN]
    password: Annotated[str, Field(min_length=1, max_length=1024, examples=["a long enough passphrase"])]
    tenant: TenantSlug


class RefreshRequest(BaseModel):
    """Body of ``POST /v1/auth/refresh``."""

    model_config = ConfigDict(extra="forbid")

    refresh_token: Annotated[str, Field(min_length=1, max_length=200, examples=[_REFRESH_TOKEN])]


class LogoutRequest(RefreshRequest):
    """Body of ``POST /v1/auth/logout``."""

    everywhere: Annotated[
        bool, Field(description="End all sessions of the person, in all tenants.", examples=[False])
    ] = False


class SwitchRequest(BaseModel):
    """Body of ``POST /v1/auth/switch``."""

    model_config = ConfigDict(extra="forbid")

    tenant: TenantSlug


class Grant(BaseModel):
    """Response to a sign-in or a refresh."""

    model_config = ConfigDict(frozen=True)

    access_token: Annotated[str, Field(description="A JWT.", examples=["eyJhbGciOiJFZERTQSJ9…"])]
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a scheme name (RFC 6750), not a secret
    expires_in: Annotated[int, Field(description="Lifetime of the access token in seconds.", examples=[900])]
    refresh_token: Annotated[str, Field(description="Valid once.", examples=[_REFRESH_TOKEN])]


class SessionResponse(BaseModel):
    """A session of a person: a sign-in that has not ended."""

    id: Annotated[str, Field(examples=[example_of(SESSION)])]
    tenant: Annotated[str, Field(description="Slug of the tenant.", examples=["acme"])]
    methods: Annotated[
        list[str], Field(description="How the person signed in (`amr` of RFC 8176).", examples=[["pwd"]])
    ]
    user_agent: Annotated[
        str, Field(description="What the client says of itself; may be empty.", examples=["Mozilla/5.0 (X11; Linux)"])
    ]
    started_at: datetime
    last_used_at: Annotated[datetime, Field(description="The sign-in or the latest refresh.")]
    current: Annotated[bool, Field(description="Whether this request belongs to it.", examples=[True])]

    @classmethod
    def of(cls, own: OwnSession, current: SignInId | None) -> "SessionResponse":
        """Convert the rows."""
        return cls(
            id=show(SESSION, own.id),
            tenant=own.tenant,
            methods=own.row.methods,
            user_agent=own.row.user_agent,
            started_at=own.row.started_at,
            last_used_at=own.row.last_used_at,
            current=own.id == current,
        )


class MembershipResponse(BaseModel):
    """A tenant that the caller is a member of."""

    id: Annotated[str, Field(examples=[example_of(TENANT)])]
    slug: Annotated[str, Field(examples=["acme"])]
    name: Annotated[str, Field(examples=["Acme Corporation"])]
    status: Literal["active", "suspended"]
    roles: Annotated[list[str], Field(description="The caller's roles there.", examples=[["member"]])]
    current: Annotated[bool, Field(description="Whether the access token is for it.", examples=[True])]

    @classmethod
    def of(cls, own: OwnTenant, current: TenantId) -> "MembershipResponse":
        """Convert the rows."""
        return cls.model_validate(
            {
                "id": show(TENANT, own.id),
                "slug": own.row.slug,
                "name": own.row.name,
                "status": own.row.status,
                "roles": list(own.roles),
                "current": own.id == current,
            }
        )


class MfaChallenge(BaseModel):
    """Response to a sign-in that goes on with a second factor: there is no session yet."""

    model_config = ConfigDict(frozen=True)

    mfa_token: Annotated[str, Field(description="For `/v1/auth/mfa/…`, until it is used.", examples=[_MFA_TOKEN])]
    expires_in: Annotated[int, Field(description="Lifetime of the token in seconds.", examples=[300])]
    methods: Annotated[
        list[Literal["totp", "passkey", "recovery_code"]],
        Field(description="What the person can use.", examples=[["totp", "recovery_code"]]),
    ]
    enroll: Annotated[
        bool,
        Field(
            description="The tenant requires a second factor and the person has none: enrol an authenticator app.",
            examples=[False],
        ),
    ]
