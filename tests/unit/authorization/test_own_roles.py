"""Decisions about tenants' own roles: no tenant's policy decides for another, and no old revision for a new one."""

from collections.abc import Iterable
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.authorization import enforcers
from gateway.authorization.authorizer import Authorizer
from tenants.identifiers import TenantId, new_id
from tenants.policy import Policy
from tenants.principal import Principal, PrincipalKind, TenantRef, TenantStatus
from tenants.roles.builtin import BuiltInRole
from tenants.roles.permissions import Grade, Permission, catalogue
from tenants.roles.vocabulary import Vocabulary

_READ, _CREATE, _DELETE = "contacts:read", "contacts:create", "contacts:delete"


@pytest.fixture
def authorizer() -> Authorizer:
    return Authorizer(catalogue(["contacts"]))


def _policy(roles: dict[str, set[str]], revision: int = 1, tenant: TenantId | None = None) -> Policy:
    named = {role: frozenset(permissions) for role, permissions in roles.items()}
    return Policy(tenant or TenantId(new_id()), revision, named)


def _principal(policy: Policy, *roles: str, scopes: Iterable[str] | None = None) -> Principal:
    tenant = policy.tenant
    assert tenant is not None
    reference = TenantRef(tenant, "acme", TenantStatus.ACTIVE, f"t_{tenant.hex}", f"t_{tenant.hex}", "free")
    narrowed = None if scopes is None else frozenset(scopes)
    return Principal(PrincipalKind.API_KEY, new_id(), reference, roles, scopes=narrowed, policy=policy)


def test_roles_of_one_name_in_two_tenants_are_two_roles(authorizer: Authorizer) -> None:
    """AZ1: a decision for acme's role "support" is never one for globex's, in whatever order they are taken."""
    acme = _principal(_policy({"support": {_READ, _DELETE}}), "support")
    globex = _principal(_policy({"support": {_READ}}), "support")
    for _ in range(2):  # the second time from memory
        assert authorizer.permissions_of(acme) == [_DELETE, _READ]
        assert authorizer.permissions_of(globex) == [_READ]


def test_a_new_revision_takes_effect_at_once(authorizer: Authorizer) -> None:
    """AZ1: what a role loses with a revision is denied by the next decision, what it gains is allowed."""
    tenant = TenantId(new_id())
    before = _principal(_policy({"support": {_READ, _DELETE}}, 1, tenant), "support")
    after = _principal(_policy({"support": {_READ, _CREATE}}, 2, tenant), "support")
    assert authorizer.permissions_of(before) == [_DELETE, _READ]
    assert authorizer.permissions_of(after) == [_CREATE, _READ]


def test_decisions_and_enforcer_of_an_old_revision_are_dropped(authorizer: Authorizer) -> None:
    """A role that is edited a thousand times takes no more memory than one that is edited once."""
    tenant = TenantId(new_id())
    for revision in range(1000):
        principal = _principal(_policy({"support": {_READ}}, revision, tenant), "support")
        assert authorizer.permissions_of(principal) == [_READ]
    assert len(authorizer._enforcers) == 1
    assert len(authorizer._decisions) == len(authorizer.permissions)


def test_a_request_under_the_old_revision_does_not_undo_the_new_one(authorizer: Authorizer) -> None:
    """AZ1: requests in flight carry the old policy while new ones carry the new: each gets its own answer."""
    tenant = TenantId(new_id())
    old = _principal(_policy({"support": {_DELETE}}, 1, tenant), "support")
    new = _principal(_policy({"support": {_READ}}, 2, tenant), "support")
    for _ in range(3):
        assert (authorizer.allows(old, _DELETE), authorizer.allows(old, _READ)) == (True, False)
        assert (authorizer.allows(new, _DELETE), authorizer.allows(new, _READ)) == (False, True)


def test_the_number_of_enforcers_is_bounded(authorizer: Authorizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tenant that was asked about least recently goes first, with its decisions; decisions stay right."""
    monkeypatch.setattr(enforcers, "MOST_TENANTS", 3)
    tenants = [_principal(_policy({"support": {_READ}}), "support") for _ in range(10)]
    for principal in (*tenants, *tenants):
        assert authorizer.permissions_of(principal) == [_READ]
        assert len(authorizer._enforcers) <= 3
        assert len(authorizer._decisions) <= 3 * len(authorizer.permissions)


def test_an_unknown_role_and_an_unknown_permission_are_denied(authorizer: Authorizer) -> None:
    """AZ1: of a role that was deleted nothing is left; a permission that no code asks for gives nothing."""
    policy = _policy({"support": {_READ, "invoices:read"}, "empty": set()})
    assert authorizer.permissions_of(_principal(policy, "deleted")) == []
    assert authorizer.permissions_of(_principal(policy, "empty")) == []
    assert authorizer.allows(_principal(policy, "support"), "invoices:read") is False


@pytest.mark.parametrize("name", list(BuiltInRole))
def test_a_tenants_role_never_replaces_a_built_in_one(authorizer: Authorizer, name: str) -> None:
    """AZ5: a policy with a role named like a built-in one neither widens nor narrows it."""
    everything = {permission.name for permission in authorizer.permissions}
    built_in = authorizer.permissions_of_roles(_policy({}), (name,))
    for own in (everything, set()):
        principal = _principal(_policy({name: own}), name)
        assert frozenset(authorizer.permissions_of(principal)) == built_in


@pytest.mark.parametrize("name", ["a, b", "support, contacts, delete", '"quoted"', "*", "# comment", "a[b", "", "a\nb"])
def test_a_role_may_have_any_name(authorizer: Authorizer, name: str) -> None:
    """AZ1: no character of a name is syntax to Casbin; the role holds what its policy says, and no more."""
    policy = _policy({name: {_READ}, "other": {_DELETE}})
    assert authorizer.permissions_of(_principal(policy, name)) == [_READ]


def test_own_and_built_in_roles_add_up_and_scopes_narrow_both(authorizer: Authorizer) -> None:
    """AZ3, AZ5: a principal holds what any of its roles holds, within its scopes."""
    policy = _policy({"cleaner": {_DELETE}})
    assert authorizer.permissions_of(_principal(policy, "viewer", "cleaner")) == [_DELETE, _READ]
    assert authorizer.permissions_of(_principal(policy, "viewer", "cleaner", scopes=[_DELETE])) == [_DELETE]


def test_a_policy_that_cannot_be_loaded_is_a_denial_and_an_alarm(
    authorizer: Authorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AZ2: a failure while the tenant's policy is taken in denies, is logged, and is over when its cause is."""

    def explode(*_: Any) -> None:
        raise MemoryError

    principal = _principal(_policy({"support": {_READ}}), "support")
    with monkeypatch.context() as broken, capture_logs() as lines:
        broken.setattr(enforcers.Enforcers, "_lines_of", explode)
        assert authorizer.allows(principal, _READ) is False
    assert [(line["event"], line["policy"]) for line in lines] == [("authorization_failed", principal.policy.key)]
    assert authorizer.allows(principal, _READ) is True


def test_a_decision_takes_no_longer_with_more_permissions(authorizer: Authorizer) -> None:
    """LD1: Casbin reads every line that it is given, and routes introduce hundreds of permissions."""
    many = Vocabulary(catalogue(["contacts"]), [Permission("api", f"a{at}", Grade.READ_DATA) for at in range(500)])
    authorizer.replace(many)
    principal = _principal(_policy({"support": set(many.permissions)}), "viewer", "support")
    assert len(authorizer.permissions_of(principal)) == len(many.permissions)
    assert len(authorizer._enforcers._enforcer.model["p"]["p"].policy) == 1  # of this role; built-in ones have four


def test_a_new_vocabulary_decides_from_the_beginning(authorizer: Authorizer) -> None:
    """AZ1: what a route introduced is denied when the route is gone, although it was allowed before and remembered."""
    principal = _principal(_policy({"support": {"echo:use"}}), "viewer", "support")
    for introduced, allowed in (((Permission("echo", "use", Grade.OWN),), True), ((), False)):
        authorizer.replace(Vocabulary(catalogue(["contacts"]), introduced))
        for _ in range(2):  # the second time from memory
            assert authorizer.allows(principal, "echo:use") is allowed
            assert authorizer.allows(principal, _READ) is True
