"""AZ5, ID16: a key never holds more than its issuer, decided by inclusion of permission sets."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authorization.authorizer import Authorizer
from tenants.api_keys.issuer import ExceedsIssuer, Issuer, RoleGrant, check_grant
from tenants.errors import ValidationFailed
from tenants.identifiers import TenantId, new_id
from tenants.policy import Policy
from tenants.principal import Principal, PrincipalKind, TenantRef, TenantStatus
from tenants.roles.permissions import catalogue

_AUTHORIZER = Authorizer(catalogue(["contacts"]))
_NAMES = [permission.name for permission in _AUTHORIZER.permissions]
_PERMISSIONS = st.frozensets(st.sampled_from(_NAMES))
_TENANT = TenantId(new_id())
_REVISIONS = count()  # other roles need another revision


def _issuer(policy: Policy, *roles: str, scopes: frozenset[str] | None = None) -> Issuer:
    reference = TenantRef(_TENANT, "acme", TenantStatus.ACTIVE, "t_acme", "t_acme", "free")
    principal = Principal(PrincipalKind.API_KEY, new_id(), reference, roles, scopes=scopes, policy=policy)
    return Issuer(principal, frozenset(_AUTHORIZER.permissions_of(principal)), policy)


def _is_granted(issuer: Issuer | None, role: str, scopes: list[str] | None = None) -> bool:
    try:
        check_grant(issuer, RoleGrant(role, scopes), _AUTHORIZER.permissions_of_roles)
    except ExceedsIssuer:
        return False
    return True


@given(own=_PERMISSIONS, granted=_PERMISSIONS, narrowed=st.none() | _PERMISSIONS, data=st.data())
def test_a_grant_is_accepted_exactly_when_it_is_within_the_issuer(
    own: frozenset[str], granted: frozenset[str], narrowed: frozenset[str] | None, data: st.DataObject
) -> None:
    """AZ5: for any two roles, any scopes of the issuer and any of the key, by set inclusion written anew."""
    scopes = data.draw(st.none() | st.lists(st.sampled_from(sorted(granted)), unique=True)) if granted else None
    policy = Policy(_TENANT, next(_REVISIONS), {"issuing": own, "requested": granted})
    accepted = _is_granted(_issuer(policy, "issuing", scopes=narrowed), "requested", scopes)
    effective = granted if scopes is None else set(scopes)
    lacked = [each for each in effective if each not in own or (narrowed is not None and each not in narrowed)]
    assert accepted == (not lacked and all(each in own for each in granted))


@pytest.mark.parametrize(
    ("issuer", "role", "accepted"),
    [
        ("owner", "owner", True),
        ("owner", "admin", True),
        ("admin", "owner", False),
        ("admin", "admin", True),
        ("admin", "viewer", True),
        ("member", "admin", False),
        ("viewer", "member", False),
        ("unknown", "viewer", False),
    ],
)
def test_built_in_roles_grant_themselves_and_narrower_ones(issuer: str, role: str, *, accepted: bool) -> None:
    """AZ5: written by hand."""
    assert _is_granted(_issuer(Policy(_TENANT, 1, {}), issuer), role) is accepted


def test_narrow_scopes_do_not_hide_a_wider_role() -> None:
    """AZ5: an admin cannot issue an owner's key that is narrowed to what admins may do."""
    assert not _is_granted(_issuer(Policy(_TENANT, 1, {}), "admin"), "owner", ["contacts:read"])


def test_an_own_role_of_another_tenant_does_not_exist() -> None:
    """AZ4: only built-in roles and those of the issuer's tenant can be granted, and nobody grants a name."""
    issuer = _issuer(Policy(_TENANT, 1, {"support": frozenset({"contacts:read"})}), "owner")
    assert _is_granted(issuer, "support")
    for role in ("sales", "OWNER", ""):
        with pytest.raises(ValidationFailed):
            _is_granted(issuer, role)
    with pytest.raises(ValidationFailed):
        _is_granted(None, "support")


def test_a_scope_that_the_role_lacks_is_named() -> None:
    """AZ5: of scopes that the role does not hold, the first is pointed at."""
    issuer = _issuer(Policy(_TENANT, 1, {}), "owner")
    with pytest.raises(ValidationFailed) as refused:
        _is_granted(issuer, "viewer", ["contacts:read", "contacts:delete"])
    assert [each.pointer for each in refused.value.errors] == ["/scopes/1"]
