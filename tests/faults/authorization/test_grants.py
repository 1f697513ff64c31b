"""AZ5: nobody grants what they lack, by roles, inheritance, members and keys; decided anew by an oracle of plain sets.

`make test` runs 2,000 cases and `make soak` 100,000, the same ones every time; a failure names its case.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import settings

from gateway.authorization.authorizer import Authorizer
from tenants.api_keys.issuer import Issuer, RoleGrant, check_grant
from tenants.errors import TenantryError
from tenants.identifiers import TenantId, new_id
from tenants.principal import Principal, PrincipalKind, TenantRef, TenantStatus
from tenants.roles.grants import Grantor, check_assignment, check_role_change
from tenants.roles.permissions import catalogue
from tenants.roles.role_set import RoleDefinition, RoleSet
from tenants.roles.vocabulary import Vocabulary

_CASES_OF_AN_EXAMPLE = 20  # the profiles have 100 and 5,000 examples
_PERMISSIONS = catalogue(["contacts"])
_VOCABULARY = Vocabulary(_PERMISSIONS)
_TENANT = TenantId(new_id())

_VIEWER = {"contacts:read"}
_MEMBER = _VIEWER | {"contacts:create", "contacts:update", "contacts:delete"}
_ADMIN = _MEMBER | {
    *("api_keys:read", "api_keys:create", "api_keys:rotate", "api_keys:revoke", "usage:read", "audit:read"),
    *("api_keys:update", "tenant:read", "tenant:update", "scim:manage", "sso:manage", "workloads:manage"),
    *("decisions:explain", "members:read", "members:update", "members:remove"),
    *("invitations:read", "invitations:create", "invitations:delete"),
    *("roles:read", "roles:create", "roles:update", "roles:delete"),
}
_BUILT_IN = {
    "owner": _ADMIN | {"owners:manage", "service_keys:create"},
    "admin": _ADMIN,
    "member": _MEMBER,
    "viewer": _VIEWER,
}
_ALL = sorted(_BUILT_IN["owner"])
_OWN = ["a", "b", "c", "d", "e"]

_Roles = Mapping[str, tuple[list[str], list[str]]]  # by name: permissions and parents


def _held(roles: _Roles, names: Iterable[str]) -> set[str]:
    """The oracle's: walk over everything that can be reached from these names."""
    reached, pending, held = set(), list(names), set()
    while pending:
        name = pending.pop()
        if name in reached:
            continue
        reached.add(name)
        if name in _BUILT_IN:
            held |= _BUILT_IN[name]
        elif name in roles:
            held |= set(roles[name][0]) & set(_ALL)
            pending += roles[name][1]
    return held


def _is_cyclic(roles: _Roles) -> bool:
    """The oracle's: whether roles remain when those without remaining parents are taken away, again and again."""
    remaining = set(roles)
    while free := {name for name in remaining if not remaining.intersection(roles[name][1])}:
        remaining -= free
    return bool(remaining)


@dataclass(frozen=True, slots=True)
class _Case:
    """A tenant's roles, and an actor with some of them, who may be narrowed by scopes."""

    random: Random
    roles: dict[str, tuple[list[str], list[str]]]
    actor: list[str]
    scopes: set[str] | None

    @classmethod
    def draw(cls, number: int) -> "_Case":
        random = Random(f"grants {number}")  # noqa: S311 - no secret is drawn
        roles: dict[str, tuple[list[str], list[str]]] = {}
        for name in random.sample(_OWN, random.randint(0, 4)):
            roles[name] = (_some(random, [*_ALL, "gone:read"], 5), _some(random, [*roles, "viewer", "member"], 2))
        actor = _some(random, [*roles, *_BUILT_IN], 2) or ["admin"]
        return cls(random, roles, actor, set(_some(random, _ALL, 12)) if random.random() < 0.3 else None)

    @property
    def may(self) -> set[str]:
        held = _held(self.roles, self.actor)
        return held if self.scopes is None else held & self.scopes

    @property
    def known(self) -> RoleSet:
        return RoleSet(_TENANT, [_definition(name, *each) for name, each in self.roles.items()], _VOCABULARY)

    @property
    def grantor(self) -> Grantor:
        return Grantor(tuple(self.actor), frozenset(self.may))


def _some(random: Random, names: Iterable[str], most: int) -> list[str]:
    known = list(names)
    return random.sample(known, random.randint(0, min(most, len(known))))


def _definition(name: str, permissions: list[str], parents: list[str]) -> RoleDefinition:
    return RoleDefinition(name, tuple(permissions), tuple(parents))


def _edit(case: _Case) -> tuple[bool, bool]:
    """Create, change or delete a role: whether it was accepted, and whether the oracle accepts it."""
    random, known = case.random, case.known
    name = random.choice([*_OWN, "owner", "Admin"])
    parents = _some(random, [*case.roles, *_BUILT_IN], 2)
    if name in case.roles and random.random() < 0.2:
        after = {each: rest for each, rest in case.roles.items() if each != name}
        valid = all(name not in others for _, others in after.values())
        accepted = _is_accepted(lambda: check_role_change(case.grantor, known, known.removed(name), name))
    else:
        drawn = _some(random, sorted(case.may), 4) if random.random() < 0.6 else _some(random, _ALL, 4)
        after = {**case.roles, name: (drawn, parents)}
        valid = name.lower() not in _BUILT_IN and not _is_cyclic(after) and (name in after)
        change = known.changed if name in case.roles else known.added
        wanted = _definition(name, drawn, parents)
        accepted = _is_accepted(lambda: check_role_change(case.grantor, known, change(wanted), name))
    touched = _held(case.roles, [name]) | (_held(after, [name]) if valid else set())
    for each in {*case.roles, *after} if valid else ():
        if _held(case.roles, [each]) != _held(after, [each]):
            touched |= _held(case.roles, [each]) | _held(after, [each])
    return accepted, valid and touched <= case.may


def _assign(case: _Case) -> tuple[bool, bool]:
    """Give a member other roles, or remove the member."""
    before, after = (_some(case.random, [*case.roles, *_BUILT_IN], 2) for _ in range(2))
    accepted = _is_accepted(lambda: check_assignment(case.grantor, case.known, before, after))
    return accepted, _held(case.roles, [*before, *after]) <= case.may


def _issue(case: _Case) -> tuple[bool, bool]:
    """Issue a key with a role and scopes."""
    role = case.random.choice([*case.roles, *_BUILT_IN, "unknown"])
    held, known = _held(case.roles, [role]), case.known
    scopes = _some(case.random, sorted(held | {"contacts:read"}), 3) if case.random.random() < 0.5 else None
    reference = TenantRef(_TENANT, "acme", TenantStatus.ACTIVE, "t_acme", "t_acme", "free")
    principal = Principal(PrincipalKind.API_KEY, new_id(), reference, tuple(case.actor))
    issuer = Issuer(principal, frozenset(case.may), known.policy)
    accepted = _is_accepted(
        lambda: check_grant(issuer, RoleGrant(role, scopes), lambda _, names: known.permissions_of(names))
    )
    valid = role != "unknown" and set(scopes or ()) <= held
    granted = held if scopes is None else set(scopes)
    return accepted, valid and held <= _held(case.roles, case.actor) and granted <= case.may


def _is_accepted(act: object) -> bool:
    assert callable(act)
    try:
        act()
    except TenantryError:
        return False
    return True


@pytest.mark.parametrize("operation", [_edit, _assign, _issue])
def test_a_grant_is_accepted_exactly_when_the_oracle_accepts_it(operation: object) -> None:
    """AZ5: role edits with inheritance and cycles, self-edits, assignments, key scopes, names of built-in roles."""
    assert callable(operation)
    accepted = 0
    for number in range(settings().max_examples * _CASES_OF_AN_EXAMPLE):
        decided, expected = operation(_Case.draw(number))
        assert decided == expected, f"case {number}"
        accepted += decided
    assert accepted > number / 20, "the cases are no test when hardly any is accepted"


def test_the_gate_allows_what_the_roles_hold() -> None:
    """AZ3: Casbin decides by the policy as the oracle does, for every permission."""
    authorizer = Authorizer(_PERMISSIONS)
    for number in range(100):
        case = _Case.draw(number)
        allowed = authorizer.permissions_of_roles(case.known.policy, tuple(case.actor))
        assert allowed == _held(case.roles, case.actor), f"case {number}"
