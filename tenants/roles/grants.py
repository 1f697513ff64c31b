"""Nobody grants what they lack, and nobody changes a role or a member that holds more than they do (AZ5).

The rule is one: everything that is touched, as it was and as it will be, is within what the caller may do. A role is
touched when what it holds changes, so an edit is judged by the roles that inherit from it too.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tenants.roles.errors import ExceedsOwn
from tenants.roles.role_set import RoleSet


@dataclass(frozen=True, slots=True)
class Grantor:
    """A principal that changes roles or members. In its place, None is the SaaS's own staff, who may grant anything."""

    roles: tuple[str, ...]
    permissions: frozenset[str]  # all that it may do, its scopes considered


def check_role_change(grantor: Grantor | None, before: RoleSet, after: RoleSet, name: str) -> None:
    """Return when the grantor may change the role ``name`` so. Raises ExceedsOwn."""
    if grantor is None:
        return
    nothing: frozenset[str] = frozenset()
    for each in before.own.keys() | after.own.keys():
        old, new = before.own.get(each, nothing), after.own.get(each, nothing)
        if each == name or old != new:
            _check_within(grantor, before, old | new)


def check_assignment(grantor: Grantor | None, roles: RoleSet, before: Iterable[str], after: Iterable[str]) -> None:
    """Return when the grantor may replace a member's roles so. Raises ExceedsOwn."""
    if grantor is not None:
        _check_within(grantor, roles, roles.permissions_of((*before, *after)))


def _check_within(grantor: Grantor, roles: RoleSet, touched: frozenset[str]) -> None:
    # By the roles as they are in this transaction, too: the grantor's permissions may be some milliseconds old.
    if not touched <= grantor.permissions & roles.permissions_of(grantor.roles):
        raise ExceedsOwn
