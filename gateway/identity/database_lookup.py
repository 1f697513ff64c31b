"""Looks up credentials in the database, many with one query, and builds their subjects."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

from gateway.identity.lookup import Holder, KeySecret, Lookup, LookupResult, Refusal, Subject
from migrations.servable import Servable
from tenants.api_keys.family import binding_windows, family_name
from tenants.api_keys.recognised import RecognisedKey
from tenants.api_keys.service import ApiKeys
from tenants.credentials import CredentialExpired, CredentialInvalid, CredentialRevoked
from tenants.database.listener import ChangeKind
from tenants.database.sessions import Database
from tenants.directory import repository as directory
from tenants.identifiers import TenantId, UserId
from tenants.operator_keys.repository import RecognisedOperatorKey
from tenants.operator_keys.service import OperatorKeys
from tenants.policy import NO_OWN_ROLES, Policy
from tenants.principal import (
    Actor,
    ActorKind,
    Operator,
    OperatorRole,
    Principal,
    PrincipalKind,
    TenantRef,
    TenantStatus,
)
from tenants.roles.builtin import BUILT_IN_ROLES
from tenants.roles.role_set import RoleSet
from tenants.roles.service import Roles
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.tokens import SecretKind
from tenants.sign_in import repository as sign_ins
from tenants.sign_in.access_tokens import AccessClaims
from tenants.values.networks import Network, plain_network

Outcomes = Mapping[Lookup, LookupResult | Exception]
OwnRoles = Mapping[TenantId, RoleSet]  # of those tenants whose own roles are needed
Value = TypeVar("Value")

_INTERNED = 10_000  # distinct parts of principals; equal parts share one object, which saves memory at 100,000


@dataclass(frozen=True, slots=True)
class DatabaseLookup:
    """Looks up many credentials with one query for each kind."""

    database: Database
    hasher: SecretHasher
    api_keys: ApiKeys
    operator_keys: OperatorKeys
    roles: Roles
    servable: Servable

    async def load(self, lookups: Sequence[Lookup]) -> list[LookupResult | Exception]:
        """The results in order; an exception in place of a result whose rows cannot be read as a subject.

        Raises Unavailable when the database is down, never a refusal.
        """
        secrets = [each for each in lookups if isinstance(each, KeySecret)]
        operators = [each for each in secrets if each.kind is SecretKind.OPERATOR]
        keys = [each for each in secrets if each.kind is not SecretKind.OPERATOR]
        claims = [each for each in lookups if isinstance(each, AccessClaims)]
        found: dict[Lookup, LookupResult | Exception] = {}
        if keys:
            found |= await self._keys(keys)
        if operators:
            found |= await self._operators(operators)
        if claims:
            found |= await self._users(claims)
        return [found[each] for each in lookups]

    async def tenant(self, tenant: TenantId) -> TenantRef | None:
        """The tenant with this id, with the status that its revisions give it. Raises Unavailable."""
        found = await directory.find_reference(self.database.control_reads, tenant)
        if found is None:
            return None
        await self._learn([found])
        return self._judged(found)

    async def _keys(self, secrets: Sequence[KeySecret]) -> Outcomes:
        rows = await self.api_keys.recognise(self.database, [each.text for each in secrets])
        await self._learn(key.tenant for key in rows.values())
        own = await self._own_roles((row.tenant.id, (row.role,)) for row in rows.values())
        return {each: _guarded(self._key_result, each.text, rows.get(each.text), own) for each in secrets}

    async def _operators(self, secrets: Sequence[KeySecret]) -> Outcomes:
        rows = await self.operator_keys.recognise(self.database, [each.text for each in secrets])
        return {each: _guarded(self._operator_result, each.text, rows.get(each.text)) for each in secrets}

    async def _users(self, claims: Sequence[AccessClaims]) -> Outcomes:
        rows = await sign_ins.holders(self.database.control_reads, claims)
        await self._learn(holder.tenant for holder in rows.values())
        own = await self._own_roles((each.tenant_id, row.roles) for each, row in rows.items())
        return {each: _guarded(self._user_result, each, rows.get(each), own) for each in claims}

    async def _learn(self, tenants: Iterable[TenantRef]) -> None:
        await self.servable.learn(self.database.control_reads, {tenant.revisions for tenant in tenants})

    async def _own_roles(self, holders: Iterable[tuple[TenantId, tuple[str, ...]]]) -> OwnRoles:
        """The roles of those tenants whose principals have a role that is not built in.

        Read after the rows that name the roles: a change of one in between is notified after the load began.
        """
        tenants = {tenant for tenant, roles in holders if not BUILT_IN_ROLES.issuperset(roles)}
        return await self.roles.role_sets(self.database.control_reads, tenants) if tenants else {}

    def _key_result(self, secret: str, key: RecognisedKey | None, roles: OwnRoles) -> LookupResult:
        own = self._own(ChangeKind.API_KEY, secret)
        if key is None:
            return LookupResult(CredentialInvalid, own)
        tenant = _tag(ChangeKind.TENANT, key.tenant.id)
        if key.revoked_at is not None:
            holder = Holder(key.tenant.id, Actor(ActorKind.API_KEY, key.id))
            return LookupResult(CredentialRevoked, own, tenant, holder=holder)
        if key.disabled_at is not None:  # without its holder, who can be enabled again
            return LookupResult(CredentialRevoked, own, tenant)
        principal = _ended(key) or _key_principal(key, self._judged(key.tenant), _policy(key.tenant.id, roles))
        return LookupResult(principal, own, tenant, expires_at=_epoch(key.expires_at))

    def _operator_result(self, secret: str, key: RecognisedOperatorKey | None) -> LookupResult:
        own = self._own(ChangeKind.OPERATOR_KEY, secret)
        if key is None:
            return LookupResult(CredentialInvalid, own)
        return LookupResult(_ended(key) or _operator(key), own, expires_at=_epoch(key.expires_at))

    def _user_result(self, claims: AccessClaims, holder: sign_ins.Holder | None, roles: OwnRoles) -> LookupResult:
        subject: Subject | Refusal = CredentialRevoked
        if holder is not None and not (holder.is_disabled or holder.has_signed_out):
            subject = _user(claims, holder.roles, self._judged(holder.tenant), _policy(claims.tenant_id, roles))
        return LookupResult(
            subject,
            tenant=_tag(ChangeKind.TENANT, claims.tenant_id),
            user=_tag(ChangeKind.USER, claims.user_id),
            expires_at=claims.expires_at,
        )

    def _judged(self, tenant: TenantRef) -> TenantRef:
        """With the status that its revisions give it. A suspended tenant stays suspended."""
        if tenant.status is TenantStatus.ACTIVE and not self.servable.serves(tenant.revisions):
            tenant = replace(tenant, status=TenantStatus.BEHIND)
        return _interned(tenant)

    def _own(self, kind: ChangeKind, secret: str) -> tuple[str, ...]:
        # Under every pepper: another worker may have created the key under a newer or older one.
        return tuple(f"{kind} {each.value.hex()}" for each in self.hasher.candidates(secret))


def _guarded(build: Callable[..., LookupResult], *arguments: Any) -> LookupResult | Exception:
    # A row that cannot be read as a principal must not fail the other credentials of the same query.
    try:
        return build(*arguments)
    except Exception as error:  # noqa: BLE001 - raised to the caller that sent the credential
        return error


def _ended(key: RecognisedKey | RecognisedOperatorKey) -> Refusal | None:
    if key.revoked_at is not None:
        return CredentialRevoked
    if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
        return CredentialExpired
    return None


def _operator(key: RecognisedOperatorKey) -> Operator:
    return Operator(key.id, key.name, OperatorRole(key.role))


def _key_principal(key: RecognisedKey, tenant: TenantRef, policy: Policy) -> Principal:
    return Principal(
        kind=PrincipalKind.API_KEY,
        id=key.id,
        tenant=tenant,
        roles=_interned((key.role,)),
        scopes=None if key.scopes is None else _interned(frozenset(key.scopes)),
        windows=_interned(binding_windows(key.id, key.limits, key.binding_limits)),
        networks=_interned(tuple(_network(each) for each in key.allowed_cidrs)),
        expires_at=_epoch(key.expires_at),
        user_id=_interned(key.created_by_user_id),
        family=_interned(family_name(key.id, key.family_id, made_by_key=key.made_by_key)),
        policy=policy,
    )


def _user(claims: AccessClaims, roles: tuple[str, ...], tenant: TenantRef, policy: Policy) -> Principal:
    return Principal(
        kind=PrincipalKind.USER,
        id=claims.user_id,
        tenant=tenant,
        roles=_interned(roles),
        expires_at=claims.expires_at,
        user_id=claims.user_id,
        sign_in_id=claims.session_id,
        methods=_interned(claims.methods),
        policy=policy,
    )


def _policy(tenant: TenantId, roles: OwnRoles) -> Policy:
    own = roles.get(tenant)
    return NO_OWN_ROLES if own is None else _interned(own.policy)


@lru_cache(maxsize=_INTERNED)
def _same(value: object) -> object:
    return value


def _interned(value: Value) -> Value:
    """One object for all equal values."""
    return _same(value)  # type: ignore[return-value]  # the cached equal value has the same type


@lru_cache(maxsize=_INTERNED)
def _network(text: str) -> Network:
    return plain_network(text)


def _tag(kind: ChangeKind, changed: TenantId | UserId) -> str:
    return f"{kind} {changed}"


def _epoch(when: datetime | None) -> float | None:
    return None if when is None else when.timestamp()
