"""The roles of a tenant: names, inheritance and bounds."""

from collections.abc import Iterable
from itertools import pairwise

import pytest

from tenants.errors import TenantryError, ValidationFailed
from tenants.identifiers import TenantId, new_id
from tenants.roles.errors import RoleInUse, RoleNameTaken, TooManyRoles
from tenants.roles.permissions import catalogue
from tenants.roles.role_set import (
    MOST_INHERITED,
    MOST_LEVELS,
    MOST_PERMISSIONS,
    MOST_ROLES,
    RoleDefinition,
    RoleSet,
)
from tenants.roles.schemas import CreateRole
from tenants.roles.vocabulary import Vocabulary

_VOCABULARY = Vocabulary(catalogue(["contacts"]))
_READ, _CREATE, _DELETE = "contacts:read", "contacts:create", "contacts:delete"


def _roles(*definitions: RoleDefinition, tenant: TenantId | None = None) -> RoleSet:
    return RoleSet(tenant or TenantId(new_id()), definitions, _VOCABULARY)


def _role(name: str, *permissions: str, inherits: Iterable[str] = ()) -> RoleDefinition:
    return RoleDefinition(name, permissions, tuple(inherits))


def _faults(error: TenantryError) -> list[tuple[str, str]]:
    return [(each.pointer, each.code) for each in error.errors]


def test_a_role_holds_what_it_names_and_what_it_inherits() -> None:
    """AZ5: over several levels, from own and built-in roles, whatever their order."""
    roles = _roles(
        _role("lead", _DELETE, inherits=["agent"]), _role("agent", _CREATE, inherits=["viewer"]), _role("other")
    )
    assert roles.own == {"lead": {_READ, _CREATE, _DELETE}, "agent": {_READ, _CREATE}, "other": set()}
    assert roles.permissions_of(["agent", "unknown"]) == {_READ, _CREATE}


def test_what_no_longer_exists_grants_nothing() -> None:
    """AZ1: a permission of a removed resource, a role that is gone; the other permissions remain."""
    roles = _roles(_role("support", _READ, "invoices:read", inherits=["gone"]))
    assert roles.own == {"support": {_READ}}
    changed = roles.changed(_role("support", "invoices:read", _CREATE))  # it may stay, and blocks no other change
    assert changed.own == {"support": {_CREATE}}


@pytest.mark.parametrize("name", ["support", "SUPPORT", "Owner", "viewer"])
def test_a_name_is_taken_in_any_case(name: str) -> None:
    with pytest.raises(RoleNameTaken):
        _roles(_role("Support")).added(_role(name))


@pytest.mark.parametrize("name", ["Owner", "ADMIN", "a,b", 'a"b', "a'b", "*", "a*", "", "a b", "1a", "-a", "ä", "a\n"])
def test_a_name_that_could_be_mistaken_is_refused(name: str) -> None:
    """AZ9: letters, digits, underscore and hyphen; not the name of a built-in role."""
    with pytest.raises(ValueError, match="name"):
        CreateRole(name=name, permissions=[])


def test_a_name_has_at_most_fifty_characters() -> None:
    assert CreateRole(name="a" * 50, permissions=[]).name == "a" * 50
    with pytest.raises(ValueError, match="name"):
        CreateRole(name="a" * 51, permissions=[])


def test_permissions_and_inherited_roles_are_bounded() -> None:
    """At the bound and one beyond it."""
    for field, most in (("permissions", MOST_PERMISSIONS), ("inherits", MOST_INHERITED)):
        CreateRole.model_validate({"name": "a", "permissions": [], field: ["x"] * most})
        with pytest.raises(ValueError, match=field):
            CreateRole.model_validate({"name": "a", "permissions": [], field: ["x"] * (most + 1)})


def test_what_does_not_exist_is_named() -> None:
    with pytest.raises(ValidationFailed) as refused:
        _roles().added(_role("support", _READ, "invoices:read", inherits=["viewer", "gone"]))
    assert _faults(refused.value) == [("/permissions/1", "unknown_permission"), ("/inherits/1", "unknown_role")]


@pytest.mark.parametrize("parent", ["a", "b", "c"])
def test_a_cycle_of_any_length_is_refused(parent: str) -> None:
    """AZ5: a role that inherits from itself, directly or by others."""
    roles = _roles(_role("a"), _role("b", inherits=["a"]), _role("c", inherits=["b"]))
    with pytest.raises(ValidationFailed) as refused:
        roles.changed(_role("a", inherits=[parent]))
    assert _faults(refused.value) == [("/inherits", "cycle")]


def test_the_depth_of_inheritance_is_bounded() -> None:
    """At the bound and one beyond it, and also when the change is in the middle of a path."""
    names = [f"r{number}" for number in range(MOST_LEVELS)]
    roles = _roles(_role(names[0]))
    for parent, name in pairwise(names):
        roles = roles.added(_role(name, inherits=[parent]))
    with pytest.raises(ValidationFailed) as refused:
        roles.added(_role("deeper", inherits=[names[-1]]))
    assert _faults(refused.value) == [("/inherits", "too_deep")]
    with pytest.raises(ValidationFailed):
        roles.added(_role("base")).changed(_role(names[0], inherits=["base"]))


def test_the_number_of_roles_is_bounded() -> None:
    """At the bound and one beyond it."""
    almost = _roles(*(_role(f"r{number}") for number in range(MOST_ROLES - 1)))
    full = almost.added(_role("last"))
    with pytest.raises(TooManyRoles):
        full.added(_role("more"))
    assert full.removed("last").added(_role("more")).own.keys() == almost.own.keys() | {"more"}


def test_an_inherited_role_cannot_be_removed() -> None:
    roles = _roles(_role("a"), _role("b", inherits=["a"]))
    with pytest.raises(RoleInUse):
        roles.removed("a")
    assert roles.removed("b").removed("a").own == {}


def test_the_revision_follows_the_content() -> None:
    """TH7: any difference gives another revision; the same roles in another order, or read again, the same one."""
    tenant = TenantId(new_id())
    same = [_roles(_role("a", _READ), _role("b"), tenant=tenant), _roles(_role("b"), _role("a", _READ), tenant=tenant)]
    others = [
        _roles(tenant=tenant),
        _roles(_role("a", _READ), tenant=tenant),
        _roles(_role("a", _CREATE), _role("b"), tenant=tenant),
        _roles(_role("a", _READ), _role("b", inherits=["a"]), tenant=tenant),
        _roles(_role("a", _READ), _role("c"), tenant=tenant),
    ]
    assert same[0].policy == same[1].policy
    assert len({each.policy for each in (*same, *others)}) == 1 + len(others)


def test_staged_changes_are_valid_as_a_whole() -> None:
    """AZ5: whatever their order; a role that is removed is not missed by one that no longer inherits from it."""
    before = _roles(_role("lead", inherits=["agent"]), _role("agent", _READ), _role("Old", _DELETE))
    changes = [_role("lead", inherits=["new"]), _role("new", _CREATE, inherits=["viewer"]), _role("old", _READ)]
    after = before.staged(changes, ["agent", "Old"])
    assert after.own == {"lead": {_READ, _CREATE}, "new": {_READ, _CREATE}, "old": {_READ}}
    assert before.own["lead"] == {_READ}
    assert before.staged([], []).policy == before.policy


def test_staged_changes_are_judged_by_the_rules_of_single_ones() -> None:
    """AZ5: with pointers into the list of roles."""
    before = _roles(_role("lead", inherits=["agent"]), _role("agent", "gone:read"))
    with pytest.raises(RoleInUse):
        before.staged([], ["agent"])
    for name in ("LEAD", "Owner"):
        with pytest.raises(RoleNameTaken):
            before.staged([_role(name)], [])
    most = MOST_ROLES - len(before.definitions)
    assert len(before.staged([_role(f"r{number}") for number in range(most)], []).definitions) == MOST_ROLES
    assert len(before.staged([_role(f"r{number}") for number in range(most + 1)], ["lead"]).definitions) == MOST_ROLES
    with pytest.raises(TooManyRoles):
        before.staged([_role(f"r{number}") for number in range(most + 1)], [])
    with pytest.raises(ValidationFailed) as unknown:
        before.staged([_role("agent", "gone:read"), _role("new", "gone:read", inherits=["nobody"])], [])
    assert _faults(unknown.value) == [
        ("/roles/1/permissions/0", "unknown_permission"),
        ("/roles/1/inherits/0", "unknown_role"),
    ]
    with pytest.raises(ValidationFailed) as cycle:
        before.staged([_role("agent", inherits=["new"]), _role("new", inherits=["lead"])], [])
    assert _faults(cycle.value) == [("/roles", "cycle")]
    deep = [_role(f"r{number}", inherits=[f"r{number + 1}"]) for number in range(MOST_LEVELS)]
    with pytest.raises(ValidationFailed) as levels:
        before.staged([*deep, _role(f"r{MOST_LEVELS}")], [])
    assert _faults(levels.value) == [("/roles", "too_deep")]
