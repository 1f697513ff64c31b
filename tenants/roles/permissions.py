"""The vocabulary of permissions, and the ones that each built-in role holds. A name is ``<object>:<action>``."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tenants.policy import Policy
from tenants.roles.builtin import BuiltInRole

_BUILT_IN_REVISION = 1  # the built-in roles are fixed while a process runs


class Grade(StrEnum):
    """How far a permission reaches, which decides the built-in roles that hold it."""

    READ_DATA = "read_data"
    WRITE_DATA = "write_data"
    MANAGE = "manage"
    OWN = "own"


_HELD_BY: dict[Grade, frozenset[BuiltInRole]] = {
    Grade.READ_DATA: frozenset(BuiltInRole),
    Grade.WRITE_DATA: frozenset({BuiltInRole.OWNER, BuiltInRole.ADMIN, BuiltInRole.MEMBER}),
    Grade.MANAGE: frozenset({BuiltInRole.OWNER, BuiltInRole.ADMIN}),
    Grade.OWN: frozenset({BuiltInRole.OWNER}),
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


class PermissionDeclaredTwice(ValueError):
    """Two declarations of one permission differ in their grade, so it is unclear who holds it."""


OWNERS_MANAGE = "owners:manage"
SERVICE_KEYS_CREATE = "service_keys:create"
MANAGEMENT = (
    Permission("api_keys", "read", Grade.MANAGE),
    Permission("api_keys", "create", Grade.MANAGE),
    Permission("api_keys", "update", Grade.MANAGE),
    Permission("api_keys", "rotate", Grade.MANAGE),
    Permission("api_keys", "revoke", Grade.MANAGE),
    Permission("usage", "read", Grade.MANAGE),
    Permission("tenant", "read", Grade.MANAGE),
    Permission("tenant", "update", Grade.MANAGE),
    # Shows who changed what, the values of the tenant's data before and after included.
    Permission("audit", "read", Grade.MANAGE),
    Permission("members", "read", Grade.MANAGE),
    Permission("members", "update", Grade.MANAGE),
    Permission("members", "remove", Grade.MANAGE),
    Permission("invitations", "read", Grade.MANAGE),
    Permission("invitations", "create", Grade.MANAGE),
    Permission("invitations", "delete", Grade.MANAGE),
    Permission("roles", "read", Grade.MANAGE),
    Permission("roles", "create", Grade.MANAGE),
    Permission("roles", "update", Grade.MANAGE),
    Permission("roles", "delete", Grade.MANAGE),
    # Why another principal of the tenant may do something or not (everybody may ask it about themselves), and what
    # changes of roles would make of what it has asked for.
    Permission("decisions", "explain", Grade.MANAGE),
    # Of the keys that identity providers use, and of those who map groups to roles (docs/decisions/0036).
    Permission("scim", "manage", Grade.MANAGE),
    Permission("sso", "manage", Grade.MANAGE),
    # Of rules that trust outside programs, which then hold the rules' roles (docs/decisions/0041).
    Permission("workloads", "manage", Grade.MANAGE),
    # Keys of the tenant itself, which no later loss of rights narrows (docs/decisions/0039).
    Permission("service_keys", "create", Grade.OWN),
    # Makes the role owner a wider set than admin, so that only owners can grant it (AZ5, docs/decisions/0020).
    Permission("owners", "manage", Grade.OWN),
)


def data_permissions(resource: str) -> tuple[Permission, ...]:
    """The four permissions of a declared resource."""
    writes = (Permission(resource, verb, Grade.WRITE_DATA) for verb in ("create", "update", "delete"))
    return (Permission(resource, "read", Grade.READ_DATA), *writes)


def catalogue(resources: Iterable[str], extra: Iterable[Permission] = ()) -> tuple[Permission, ...]:
    """All permissions of this deployment, each once, sorted by name.

    ``extra`` are those that the SaaS team declares at its own endpoints. Raises PermissionDeclaredTwice.
    """
    data = (permission for resource in resources for permission in data_permissions(resource))
    found: dict[str, Permission] = {}
    for permission in (*MANAGEMENT, *data, *extra):
        if found.setdefault(permission.name, permission) != permission:
            raise PermissionDeclaredTwice(f"Permission {permission.name} is declared twice, with different grades.")
    return tuple(found[name] for name in sorted(found))


def built_in_holders(permission: Permission) -> list[str]:
    """Names of the built-in roles that hold it, the widest first."""
    return [role.value for role in BuiltInRole if role in _HELD_BY[permission.grade]]


def built_in_policy(permissions: Iterable[Permission]) -> Policy:
    """What the built-in roles hold of these permissions. No globs, no inheritance."""
    known = tuple(permissions)
    roles = {role.value: frozenset(each.name for each in known if role in _HELD_BY[each.grade]) for role in BuiltInRole}
    return Policy(None, _BUILT_IN_REVISION, roles)
