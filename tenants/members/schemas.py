"""Requests and responses about members."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tenants.identifiers import USER, example_of, pattern_of, show
from tenants.members.repository import Member

MOST_ROLES = 20  # of one member


class ChangeMember(BaseModel):
    """Body of ``PATCH /v1/members/{id}``; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    roles: Annotated[
        list[Annotated[str, Field(max_length=50, examples=["member"])]],
        Field(
            default_factory=list,
            min_length=1,
            max_length=MOST_ROLES,
            description="All roles that are given by hand; only those that you hold. Roles of groups stay.",
        ),
    ]
    disabled: Annotated[
        bool, Field(description="Whether the person cannot sign in to this tenant.", examples=[False])
    ] = False


class HandOverKeys(BaseModel):
    """Body of ``POST /v1/members/{id}/api-keys/hand-over``."""

    model_config = ConfigDict(extra="forbid")

    to: Annotated[
        str,
        Field(
            pattern=pattern_of(USER),
            description="The member who owns the keys from then on.",
            examples=[example_of(USER)],
        ),
    ]


class MemberResponse(BaseModel):
    """A person in the tenant."""

    id: Annotated[str, Field(examples=[example_of(USER)])]
    email: Annotated[str, Field(examples=["ada@example.com"])]
    name: Annotated[str, Field(examples=["Ada Lovelace"])]
    roles: Annotated[list[str], Field(description="All roles of the member.", examples=[["member"]])]
    group_roles: Annotated[
        list[str], Field(description="Those of them that the member has from groups of SCIM.", examples=[[]])
    ]
    disabled: Annotated[bool, Field(description="Whether the person is disabled in this tenant.", examples=[False])]
    account_disabled: Annotated[
        bool, Field(description="Whether the operator has disabled the account in every tenant.", examples=[False])
    ]
    created_at: Annotated[datetime, Field(description="When the person became a member.")]

    @classmethod
    def of(cls, member: Member) -> "MemberResponse":
        """Convert the rows."""
        return cls(
            id=show(USER, member.id),
            email=member.user.email,
            name=member.user.name,
            roles=list(member.roles),
            group_roles=list(member.membership.group_roles),
            disabled=member.membership.disabled_at is not None,
            account_disabled=member.user.disabled_at is not None,
            created_at=member.membership.created_at,
        )
