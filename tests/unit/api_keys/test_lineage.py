"""ID16: what owners leave of a key, for rows that no request can make, and at the edges of those that it can."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenants.api_keys.lineage import Bounds, MemberNow, Owner, OwnerKind, Owners, bounds_of, owner_of
from tenants.api_keys.recognised import RecognisedKey
from tenants.credentials import CredentialExpired, CredentialRevoked
from tenants.identifiers import ApiKeyId, TenantId, UserId, new_id
from tenants.principal import TenantRef, TenantStatus
from tenants.values.networks import plain_network

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_SOON, _LATE = _NOW + timedelta(hours=1), _NOW + timedelta(days=1)
_TENANT = TenantRef(TenantId(new_id()), "acme", TenantStatus.ACTIVE, "t_acme", "t_acme", "free")
_PERSON = UserId(new_id())
_ROLES = {"wide": frozenset({"a:read", "b:read"}), "narrow": frozenset({"a:read"})}
_COLUMNS: dict[str, Any] = dict.fromkeys(RecognisedKey.__dataclass_fields__)


def _key(**columns: Any) -> RecognisedKey:
    given = {"id": ApiKeyId(new_id()), "tenant": _TENANT, "role": "wide", "allowed_cidrs": [], "owned_by": "tenant"}
    given["created_at"] = _NOW
    return RecognisedKey(**(_COLUMNS | given | columns))


def _owned(owner: RecognisedKey, **columns: Any) -> RecognisedKey:
    return _key(owned_by="key", owner_key_id=owner.id, **columns)


def _bounds(key: RecognisedKey, *owners: RecognisedKey, roles: tuple[str, ...] | None = None) -> Bounds:
    people = {} if roles is None else {(_TENANT.id, _PERSON): MemberNow(roles, _NOW)}
    found = Owners({each.id: each for each in owners}, people)
    return bounds_of(key, found, lambda names: frozenset[str]().union(*(_ROLES[each] for each in names)), _NOW)


def test_a_key_of_the_tenant_is_bound_by_its_row_alone() -> None:
    """ID16: nothing is taken away, so its principal needs no scopes."""
    assert _bounds(_key(expires_at=_SOON)) == Bounds(expires_at=_SOON)
    assert _bounds(_key(scopes=["a:read"])).scopes == frozenset({"a:read"})


@pytest.mark.parametrize(
    ("owner", "refusal"),
    [
        ({"revoked_at": _NOW}, None),
        ({"disabled_at": _NOW}, CredentialRevoked),
        ({"disabled_at": _NOW, "revoked_at": _NOW}, CredentialRevoked),
        ({"expires_at": _NOW}, CredentialExpired),
        ({"expires_at": _NOW, "revoked_at": _NOW}, CredentialExpired),
        ({"expires_at": _SOON}, None),
        ({"tenant": replace(_TENANT, id=TenantId(new_id()))}, CredentialRevoked),
    ],
)
def test_an_owner_that_ends_ends_what_it_owns_unless_it_is_revoked_alone(
    owner: dict[str, Any], refusal: type[Exception] | None
) -> None:
    """ID16: at any height of the line; a key of another tenant owns nothing."""
    top = _key(**owner)
    middle = _owned(top)
    assert _bounds(_owned(middle), middle, top).refusal is refusal


def test_a_line_that_cannot_be_followed_leaves_nothing() -> None:
    """ID16: the owning key is not found, or the line is a circle, or the person's account is gone."""
    lost = _owned(_key())
    first, second = ApiKeyId(new_id()), ApiKeyId(new_id())
    circle = [_key(id=one, owned_by="key", owner_key_id=other) for one, other in ((first, second), (second, first))]
    for each in (_bounds(lost), _bounds(circle[0], *circle), _bounds(_key(owned_by="user"))):
        assert each == Bounds(CredentialRevoked)


def test_every_owner_narrows_permissions_networks_and_expiry() -> None:
    """ID16: what is left is what all of them allow; networks without a common address allow none."""
    top = _key(owned_by="user", owner_user_id=_PERSON, allowed_cidrs=["192.0.2.0/24", "2001:db8::/32"])
    middle = _owned(top, expires_at=_SOON)
    key = _owned(middle, allowed_cidrs=["192.0.2.128/25", "198.51.100.0/24"], expires_at=_LATE)
    bounds = _bounds(key, middle, top, roles=("narrow",))
    assert (bounds.scopes, bounds.expires_at) == (_ROLES["narrow"], _SOON)
    assert bounds.networks == (plain_network("192.0.2.128/25"),)
    elsewhere = _owned(top, allowed_cidrs=["203.0.113.0/24"])
    assert _bounds(elsewhere, top, roles=("wide",)).refusal is CredentialRevoked
    assert _bounds(key, middle, top).refusal is CredentialRevoked  # the person has left


def test_a_key_is_of_the_membership_in_which_it_became_its_owners() -> None:
    """ID15: since it was created or given; one that is older than the membership ends with the one before."""
    earlier, theirs = _NOW - timedelta(microseconds=1), {"owned_by": "user", "owner_user_id": _PERSON}
    given, kept = _key(**theirs, created_at=earlier, owned_since=_NOW), _key(**theirs, owned_since=earlier)
    for key, refusal in (
        (_key(**theirs), None),
        (given, None),
        (_owned(given, created_at=earlier), None),
        (kept, CredentialRevoked),
        (_owned(kept), CredentialRevoked),
        (_key(**theirs, created_at=earlier), CredentialRevoked),
        (_key(owned_by=None, created_by_user_id=_PERSON, created_at=earlier), CredentialRevoked),
    ):
        assert _bounds(key, given, kept, roles=("wide",)).refusal is refusal


def test_keys_of_older_releases_belong_to_who_created_them() -> None:
    """ID16, OP4: and to the tenant when no person did."""
    assert owner_of(_key(owned_by=None, created_by_user_id=_PERSON)) == Owner(OwnerKind.USER, user=_PERSON)
    assert owner_of(_key(owned_by=None)) == Owner(OwnerKind.TENANT)
    assert owner_of(_key(created_by_user_id=_PERSON)) == Owner(OwnerKind.TENANT)
