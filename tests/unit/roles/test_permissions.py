"""The vocabulary of permissions, and what the built-in roles hold of it."""

import pytest

from tenants.roles.builtin import BuiltInRole
from tenants.roles.permissions import Grade, Permission, PermissionDeclaredTwice, built_in_policy, catalogue


def test_permissions_of_endpoints_join_those_of_resources() -> None:
    """AZ1: an extra permission is held by the roles that its grade names, and by no other."""
    win = Permission("deals", "win", Grade.WRITE_DATA)
    roles = built_in_policy(catalogue(["deals"], extra=[win])).roles
    assert {role for role, held in roles.items() if "deals:win" in held} == {"owner", "admin", "member"}


def test_a_permission_declared_again_is_one() -> None:
    """Two endpoints may name the same permission."""
    win = Permission("deals", "win", Grade.WRITE_DATA)
    names = [each.name for each in catalogue(["deals"], extra=[win, win])]
    assert names == sorted(set(names))
    assert names.count("deals:win") == 1


def test_a_permission_with_two_grades_is_refused_by_name() -> None:
    """AZ1: nobody can widen deals:delete by declaring it once more."""
    with pytest.raises(PermissionDeclaredTwice, match="deals:delete"):
        catalogue(["deals"], extra=[Permission("deals", "delete", Grade.READ_DATA)])


def test_each_built_in_role_holds_more_than_the_next() -> None:
    """AZ5: so that inclusion of permission sets orders them, and only an owner can grant the role owner."""
    roles = built_in_policy(catalogue(["deals"])).roles
    for wider, narrower in zip(list(BuiltInRole), list(BuiltInRole)[1:], strict=False):
        assert roles[narrower] < roles[wider]
