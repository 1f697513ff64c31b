"""The decision itself, without HTTP."""

import casbin
import pytest
from structlog.testing import capture_logs

from gateway.authorization import authorizer as module
from gateway.authorization.authorizer import Authorizer
from tenants.identifiers import TenantId, new_id
from tenants.principal import Principal, PrincipalKind, TenantRef, TenantStatus
from tenants.roles.permissions import catalogue

_DATA = {f"contacts:{verb}" for verb in ("read", "create", "update", "delete")}
_KEYS = {f"api_keys:{verb}" for verb in ("read", "create", "update", "rotate", "revoke")}
_MEMBERS = {f"members:{verb}" for verb in ("read", "update", "remove")}
_ROLES = {f"roles:{verb}" for verb in ("read", "create", "update", "delete")}
_INVITATIONS = {f"invitations:{verb}" for verb in ("read", "create", "delete")}
_TENANT = {"tenant:read", "tenant:update", "usage:read", "audit:read", "decisions:explain"}
_PROVIDERS = {"scim:manage", "sso:manage", "workloads:manage"}
_MANAGED = _KEYS | _MEMBERS | _INVITATIONS | _ROLES | _TENANT | _PROVIDERS

# Written by hand, so that it can disagree with the policy (AZ3).
_ORACLE = {
    "owner": _DATA | _MANAGED | {"owners:manage", "service_keys:create"},
    "admin": _DATA | _MANAGED,
    "member": _DATA,
    "viewer": {"contacts:read"},
    "unknown": set(),
}


def _principal(*roles: str, scopes: frozenset[str] | None = None) -> Principal:
    tenant = TenantId(new_id())
    reference = TenantRef(tenant, "acme", TenantStatus.ACTIVE, f"t_{tenant.hex}", f"t_{tenant.hex}", "free")
    return Principal(PrincipalKind.API_KEY, new_id(), reference, roles, scopes=scopes)


@pytest.fixture
def authorizer() -> Authorizer:
    return Authorizer(catalogue(["contacts"]))


@pytest.mark.parametrize("role", sorted(_ORACLE))
def test_every_built_in_role_may_do_what_the_oracle_says_and_nothing_else(authorizer: Authorizer, role: str) -> None:
    """AZ1, AZ3: the whole matrix of roles and permissions agrees with a table written by hand."""
    for permission in catalogue(["contacts"]):
        assert authorizer.allows(_principal(role), permission.name) is (permission.name in _ORACLE[role])


def test_several_roles_grant_what_any_of_them_grants(authorizer: Authorizer) -> None:
    """AZ3: roles add up."""
    assert set(authorizer.permissions_of(_principal("viewer", "member"))) == _DATA


@pytest.mark.parametrize(
    "name", ["contacts:*", "*", "contacts", "", "contacts:read ", "invoices:read", "contacts:READ"]
)
def test_an_unknown_permission_is_denied_even_to_the_owner(authorizer: Authorizer, name: str) -> None:
    """AZ1: no globs and no guesses."""
    assert authorizer.allows(_principal("owner"), name) is False


def test_scopes_narrow_and_never_widen(authorizer: Authorizer) -> None:
    """AZ5: a scope that the role lacks gives nothing; one that it has is all that is left."""
    narrowed = _principal("viewer", scopes=frozenset({"contacts:read", "contacts:delete"}))
    assert authorizer.permissions_of(narrowed) == ["contacts:read"]
    assert authorizer.permissions_of(_principal("owner", scopes=frozenset())) == []


def test_a_failure_inside_the_decision_is_a_denial_and_an_alarm(
    authorizer: Authorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AZ2: an exception never allows anything."""

    def explode(*_: object) -> bool:
        raise RuntimeError("the model is broken")

    monkeypatch.setattr(casbin.Enforcer, "enforce_ex", explode)
    with capture_logs() as lines:
        assert authorizer.allows(_principal("owner"), "contacts:read") is False
    assert [line["event"] for line in lines] == ["authorization_failed"]


def test_a_decision_is_asked_of_casbin_once(authorizer: Authorizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second decision is a look-up: Casbin takes 70 µs and more for each."""
    authorizer.allows(_principal("owner"), "contacts:read")

    def again(*_: object) -> bool:
        raise AssertionError("asked twice")

    monkeypatch.setattr(casbin.Enforcer, "enforce_ex", again)
    assert authorizer.allows(_principal("owner"), "contacts:read") is True


def test_a_denial_by_accident_ends_with_the_accident(authorizer: Authorizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """AZ2: what went wrong once is not what was decided."""

    def explode(*_: object) -> bool:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(casbin.Enforcer, "enforce_ex", explode)
        assert authorizer.allows(_principal("owner"), "contacts:read") is False
    assert authorizer.allows(_principal("owner"), "contacts:read") is True


def test_remembered_decisions_are_bounded(authorizer: Authorizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither many roles nor unknown permissions fill the memory, and decisions stay right."""
    monkeypatch.setattr(module, "MOST_DECISIONS", 100)
    for number in range(1000):
        assert authorizer.allows(_principal("viewer", f"role {number}"), "contacts:read") is True
        assert authorizer.allows(_principal(f"role {number}"), "contacts:read") is False
        assert authorizer.allows(_principal("owner"), f"contacts:{number}") is False
        assert len(authorizer._decisions) <= 100
