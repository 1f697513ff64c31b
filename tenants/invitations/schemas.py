"""Requests and responses about invitations."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tenants.directory.models import Tenant
from tenants.identifiers import API_KEY, INVITATION, TENANT, USER, example_of, show
from tenants.invitations.models import Invitation, InvitationStatus
from tenants.principal import ActorKind
from tenants.values.addresses import Email
from tenants.values.shown import SHOWN

_PREFIXES = {ActorKind.API_KEY: API_KEY, ActorKind.USER: USER}
Token = Annotated[
    str,
    Field(min_length=1, max_length=200, description="The `token` of the link.", examples=["tn_link_7Zc2…m0Qs"]),
]


class CreateInvitation(BaseModel):
    """Body of ``POST /v1/invitations``."""

    model_config = ConfigDict(extra="forbid")

    email: Email
    role: Annotated[
        str, Field(max_length=50, description="A role whose permissions you hold, all of them.", examples=["member"])
    ]


class AcceptInvitation(BaseModel):
    """Body of ``POST /v1/auth/invitations/accept``."""

    model_config = ConfigDict(extra="forbid")

    token: Token
    name: Annotated[
        str, Field(max_length=200, description="Name of a new person.", examples=["Ada Lovelace"]), SHOWN
    ] = ""
    password: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=1024,
            description="Password of a new person, required for one; an existing account keeps its password.",
            examples=["a long enough passphrase"],
        ),
    ] = None


class RenewInvitation(BaseModel):
    """Body of ``POST /v1/auth/invitations/renew``."""

    model_config = ConfigDict(extra="forbid")

    token: Token


class InviterResponse(BaseModel):
    """Who sent the invitation, or sent it again last."""

    kind: Annotated[
        ActorKind, Field(description="`operator` and `cli` are operators of the deployment.", examples=["user"])
    ]
    id: Annotated[str | None, Field(description="Of the person or the API key.", examples=[example_of(USER)])]


class InvitationResponse(BaseModel):
    """An invitation of an address to the tenant."""

    id: Annotated[str, Field(examples=[example_of(INVITATION)])]
    email: Annotated[str, Field(examples=["ada@example.com"])]
    role: Annotated[str, Field(examples=["member"])]
    status: Annotated[InvitationStatus, Field(examples=["pending"])]
    invited_by: InviterResponse
    created_at: datetime
    expires_at: Annotated[datetime, Field(description="When it can no longer be accepted.")]
    sent_at: Annotated[datetime | None, Field(description="When the latest message was queued; null if mail is off.")]
    accepted_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, invitation: Invitation) -> "InvitationResponse":
        """Convert a row."""
        inviter = invitation.inviter
        prefix = _PREFIXES.get(inviter.kind)
        return cls(
            id=show(INVITATION, invitation.id),
            email=invitation.email,
            role=invitation.role,
            status=invitation.status,
            invited_by=InviterResponse(
                kind=inviter.kind, id=show(prefix, inviter.id) if prefix and inviter.id else None
            ),
            created_at=invitation.created_at,
            expires_at=invitation.expires_at,
            sent_at=invitation.sent_at,
            accepted_at=invitation.accepted_at,
            revoked_at=invitation.revoked_at,
        )


class JoinedTenant(BaseModel):
    """The tenant that a person has joined."""

    id: Annotated[str, Field(examples=[example_of(TENANT)])]
    slug: Annotated[str, Field(examples=["acme"])]
    name: Annotated[str, Field(examples=["Acme Corporation"])]


class InvitationAccepted(BaseModel):
    """Response of accepting an invitation. It contains no token: sign in with `POST /v1/auth/login`."""

    tenant: JoinedTenant
    email: Annotated[str, Field(examples=["ada@example.com"])]
    role: Annotated[str, Field(examples=["member"])]
    password_set: Annotated[
        bool, Field(description="Whether the password was set; an existing account keeps its own.", examples=[True])
    ]

    @classmethod
    def of(cls, tenant: Tenant, invitation: Invitation, *, password_set: bool) -> "InvitationAccepted":
        """Convert the rows."""
        joined = JoinedTenant(id=show(TENANT, tenant.id), slug=tenant.slug, name=tenant.name)
        return cls(tenant=joined, email=invitation.email, role=invitation.role, password_set=password_set)
