"""Every permission there is, and what the built-in roles hold of them. Spelled ``<object>:<action>``."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tenants.roles.builtin import BuiltInRole


class Grade(StrEnum):
    """How far a permission reaches, which decides the built-in roles that hold it."""

    READ_DATA = "read_data"
    WRITE_DATA = "write_data"
    MANAGE = "manage"


_HELD_BY: dict[Grade, frozenset[BuiltInRole]] = {
    Grade.READ_DATA: frozenset(BuiltInRole),
    Grade.WRITE_DATA: frozenset({BuiltInRole.OWNER, BuiltInRole.ADMIN, BuiltInRole.MEMBER}),
    Grade.MANAGE: frozenset({BuiltInRole.OWNER, BuiltInRole.ADMIN}),
}


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """One thing that a role may allow."""

    object: str
    action: str
    grade: Grade

    @property
    def name(self) -> str:
        """The spelling that roles, scopes and ``requires`` use."""
        return f"{self.object}:{self.action}"


MANAGEMENT = (
    Permission("api_keys", "read", Grade.MANAGE),
    Permission("api_keys", "create", Grade.MANAGE),
    Permission("api_keys", "rotate", Grade.MANAGE),
    Permission("api_keys", "revoke", Grade.MANAGE),
    Permission("usage", "read", Grade.MANAGE),
)


def data_permissions(resource: str) -> tuple[Permission, ...]:
    """The four permissions of a declared resource."""
    writes = (Permission(resource, verb, Grade.WRITE_DATA) for verb in ("create", "update", "delete"))
    return (Permission(resource, "read", Grade.READ_DATA), *writes)


def catalogue(resources: Iterable[str]) -> tuple[Permission, ...]:
    """All permissions of this deployment, sorted by name."""
    data = (permission for resource in resources for permission in data_permissions(resource))
    return tuple(sorted((*MANAGEMENT, *data), key=lambda permission: permission.name))


def policy_lines(permissions: Iterable[Permission]) -> list[list[str]]:
    """Casbin's lines for the built-in roles: role, object, action. No globs, no inheritance."""
    return [
        [role.value, permission.object, permission.action]
        for permission in permissions
        for role in sorted(_HELD_BY[permission.grade])
    ]
