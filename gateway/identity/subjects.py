"""Builds subjects from rows: principals of keys and people, and operators. No I/O.

Equal parts of principals are one object, which saves memory at 100,000 of them.
"""

from datetime import datetime
from functools import lru_cache
from math import isfinite
from typing import TypeVar

from gateway.identity.lookup import Refusal
from tenants.api_keys.family import binding_windows, family_name
from tenants.api_keys.lineage import Bounds
from tenants.api_keys.recognised import RecognisedKey
from tenants.credentials import CredentialExpired, CredentialRevoked
from tenants.operator_keys.repository import RecognisedOperatorKey
from tenants.policy import Policy
from tenants.principal import KeyEnding, Operator, OperatorRole, Principal, PrincipalKind, TenantRef
from tenants.sign_in.access_tokens import AccessClaims

Value = TypeVar("Value")

_INTERNED = 10_000  # distinct parts


def key_principal(key: RecognisedKey, bounds: Bounds, tenant: TenantRef, policy: Policy) -> Principal:
    """The principal of a key that has not ended, as narrow as its owners leave it."""
    return Principal(
        kind=PrincipalKind.API_KEY,
        id=key.id,
        tenant=tenant,
        roles=interned((key.role,)),
        scopes=interned(bounds.scopes),
        windows=interned(binding_windows(key.id, key.limits, key.binding_limits)),
        networks=interned(bounds.networks),
        expires_at=epoch(bounds.expires_at),
        user_id=interned(key.created_by_user_id),
        family=interned(family_name(key.id, key.family_id, made_by_key=key.made_by_key)),
        policy=policy,
        ending=_ending(key, bounds),
    )


def _ending(key: RecognisedKey, bounds: Bounds) -> KeyEnding | None:
    return None if bounds.expires_at is None else KeyEnding(bounds.expires_at.timestamp(), epoch(key.rotated_at))


def person(claims: AccessClaims, roles: tuple[str, ...], tenant: TenantRef, policy: Policy) -> Principal:
    """The principal of a member who is not disabled."""
    return Principal(
        kind=PrincipalKind.USER,
        id=claims.user_id,
        tenant=tenant,
        roles=interned(roles),
        expires_at=claims.expires_at if isfinite(claims.expires_at) else None,
        user_id=claims.user_id,
        sign_in_id=claims.session_id,
        methods=interned(claims.methods),
        policy=policy,
    )


def operator(key: RecognisedOperatorKey) -> Operator:
    """The member of the SaaS's staff that the key is given to."""
    return Operator(key.id, key.name, OperatorRole(key.role))


def operator_refusal(key: RecognisedOperatorKey, now: datetime) -> Refusal | None:
    """Why the key is refused; None for one that works."""
    if key.revoked_at is not None:
        return CredentialRevoked
    return CredentialExpired if key.expires_at is not None and key.expires_at <= now else None


@lru_cache(maxsize=_INTERNED)
def _same(value: object) -> object:
    return value


def interned(value: Value) -> Value:
    """One object for all equal values."""
    return _same(value)  # type: ignore[return-value]  # the cached equal value has the same type


def epoch(when: datetime | None) -> float | None:
    """Seconds since the epoch; None is never."""
    return None if when is None else when.timestamp()
