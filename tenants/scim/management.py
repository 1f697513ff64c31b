"""Requests and responses of ``/v1/scim``, for the tenant's admins."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tenants.identifiers import SCIM_GROUP, example_of, show
from tenants.scim.models import ScimGroupRow

RoleToGive = Annotated[str, Field(max_length=50, examples=["member"])]


class ChangeScimSettings(BaseModel):
    """Body of ``PATCH /v1/scim/settings``."""

    model_config = ConfigDict(extra="forbid")

    default_role: RoleToGive


class ScimSettingsResponse(BaseModel):
    """The settings of SCIM."""

    base_url: Annotated[
        str, Field(description="To enter at the identity provider.", examples=["https://api.example.com/scim/v2"])
    ]
    default_role: Annotated[str, Field(description="The role of users that SCIM creates.", examples=["member"])]


class ChangeGroupRole(BaseModel):
    """Body of ``PATCH /v1/scim/groups/{id}``."""

    model_config = ConfigDict(extra="forbid")

    role: Annotated[RoleToGive | None, Field(description="The role of all members; null gives none.")]


class GroupRoleResponse(BaseModel):
    """A group of the identity provider, and the role that it gives."""

    id: Annotated[str, Field(examples=[example_of(SCIM_GROUP)])]
    display_name: Annotated[str, Field(examples=["Staff"])]
    external_id: Annotated[str | None, Field(description="The provider's own id.", examples=["00gjitX9HqABSoqTB0g3"])]
    role: Annotated[str | None, Field(description="The role that its members have from it.", examples=["member"])]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: ScimGroupRow) -> "GroupRoleResponse":
        """Convert a row."""
        return cls(
            id=show(SCIM_GROUP, row.id),
            display_name=row.display_name,
            external_id=row.external_id,
            role=row.role,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
