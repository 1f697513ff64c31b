"""Requests and responses about roles and permissions."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tenants.identifiers import ROLE, example_of, show
from tenants.roles.builtin import BUILT_IN_ROLES
from tenants.roles.models import Role
from tenants.roles.role_set import MOST_INHERITED, MOST_PERMISSIONS
from tenants.values.errors import BadValue, with_pydantic_errors
from tenants.values.shown import SHOWN


def check_own_name(value: object) -> object:
    """Return what is not the name of a built-in role, in any case. Raises BadValue."""
    if isinstance(value, str) and value.lower() in BUILT_IN_ROLES:
        raise BadValue("built_in_role", "This is the name of a built-in role. Choose another one.")
    return value


RoleName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,49}$", examples=["support"])]
OwnName = Annotated[RoleName, BeforeValidator(with_pydantic_errors(check_own_name))]
Description = Annotated[str, Field(max_length=500, examples=["Answers customers."]), SHOWN]
Permissions = Annotated[
    list[Annotated[str, Field(max_length=100, examples=["usage:read"])]],
    Field(max_length=MOST_PERMISSIONS, description="Names from `GET /v1/permissions`; only those that you have."),
]
Inherits = Annotated[
    list[Annotated[str, Field(max_length=50, examples=["viewer"])]],
    Field(max_length=MOST_INHERITED, description="Names of roles whose permissions the role holds as well."),
]


class CreateRole(BaseModel):
    """Body of ``POST /v1/roles``."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[OwnName, Field(description="Cannot be changed. Names that differ only in case are equal.")]
    description: Description = ""
    permissions: Permissions
    inherits: Inherits = []


class ChangeRole(BaseModel):
    """Body of ``PATCH /v1/roles/{id}``; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    description: Description = ""
    permissions: Permissions = []
    inherits: Inherits = []


class RoleResponse(BaseModel):
    """A role of the tenant, its own or built in."""

    id: Annotated[str, Field(examples=[example_of(ROLE)])]
    name: RoleName
    built_in: Annotated[bool, Field(description="Whether every tenant has it; it cannot be changed.", examples=[False])]
    description: Annotated[str, Field(examples=["Answers customers."])]
    permissions: Annotated[list[str], Field(examples=[["usage:read"]])]
    inherits: Annotated[list[str], Field(examples=[["viewer"]])]
    created_at: Annotated[datetime | None, Field(description="Null for a built-in role.")]
    updated_at: Annotated[datetime | None, Field(description="Null for a built-in role.")]

    @classmethod
    def of(cls, role: Role) -> "RoleResponse":
        """Convert a row."""
        return cls(
            id=show(ROLE, role.id),
            name=role.name,
            built_in=role.created_at is None,
            description=role.description,
            permissions=role.permissions,
            inherits=role.inherits,
            created_at=role.created_at,
            updated_at=role.updated_at,
        )


class PermissionResponse(BaseModel):
    """A permission of this deployment."""

    name: Annotated[str, Field(examples=["usage:read"])]
    roles: Annotated[list[str], Field(description="The built-in roles that hold it.", examples=[["owner", "admin"]])]
    held: Annotated[bool, Field(description="Whether you have it, so that you can grant it.", examples=[True])]
