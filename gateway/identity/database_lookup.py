"""Looks up credentials in the database, many with one query, and what their subjects are made from."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from math import inf
from typing import Any

from gateway.identity.lookup import Holder, KeyId, KeySecret, Lookup, LookupResult, MemberId, Refusal, Subject
from gateway.identity.subjects import epoch, interned, key_principal, operator, operator_refusal, person
from migrations.servable import Servable
from tenants.api_keys.lineage import Granted, Owners, bounds_of, granted_by, owner_of, people_of, refusal_of
from tenants.api_keys.recognised import RecognisedKey
from tenants.api_keys.service import ApiKeys
from tenants.credentials import CredentialInvalid, CredentialRevoked
from tenants.database.listener import ChangeKind
from tenants.database.sessions import Database
from tenants.directory import repository as directory
from tenants.identifiers import TenantId, UserId
from tenants.members import repository as members
from tenants.operator_keys.repository import RecognisedOperatorKey
from tenants.operator_keys.service import OperatorKeys
from tenants.policy import NO_OWN_ROLES, Policy
from tenants.principal import Actor, ActorKind, TenantRef, TenantStatus
from tenants.roles.builtin import BUILT_IN_ROLES
from tenants.roles.role_set import RoleSet
from tenants.roles.service import Roles
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.tokens import SecretKind
from tenants.sign_in import repository as sign_ins
from tenants.sign_in.access_tokens import AccessClaims

Outcomes = Mapping[Lookup, LookupResult | Exception]
OwnRoles = Mapping[TenantId, RoleSet]  # of those tenants whose own roles are needed


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
        ids = [each for each in lookups if isinstance(each, KeyId)]
        people = [each for each in lookups if isinstance(each, AccessClaims | MemberId)]
        found: dict[Lookup, LookupResult | Exception] = {}
        if keys:
            found |= await self._keys(keys)
        if ids:
            found |= await self._keys_by_id(ids)
        if operators:
            found |= await self._operators(operators)
        if people:
            found |= await self._users(people)
        return [found[each] for each in lookups]

    async def line(self, asked: KeyId) -> list[Granted]:
        """What a key and its owners grant it, ended or not; empty when the tenant has no such key."""
        found = await self.api_keys.find_by_ids(self.database, [asked.id])
        keys = [key for key in found if key.tenant.id == asked.tenant_id]
        owners = await self._owners(keys)
        roles = await self._own_roles(_holders(keys, owners))
        permissions_of = partial(self.roles.permissions_of, _policy(asked.tenant_id, roles))
        return [granted for key in keys for granted in granted_by(key, owners, permissions_of)]

    async def tenant(self, tenant: TenantId) -> TenantRef | None:
        """The tenant with this id, with the status that its revisions give it. Raises Unavailable."""
        found = await directory.find_reference(self.database.control_reads, tenant)
        if found is None:
            return None
        await self._learn([found])
        return self._judged(found)

    async def _keys(self, secrets: Sequence[KeySecret]) -> Outcomes:
        rows = await self.api_keys.recognise(self.database, [each.text for each in secrets])
        own = {each: self._own(ChangeKind.API_KEY, each.text) for each in secrets}
        return await self._key_results({each: (rows.get(each.text), tags) for each, tags in own.items()})

    async def _keys_by_id(self, ids: Sequence[KeyId]) -> Outcomes:
        found = await self.api_keys.find_by_ids(self.database, [each.id for each in ids])
        rows = {KeyId(row.tenant.id, row.id): row for row in found}
        # Many credentials may be made from this row, so no result has it as its own.
        return await self._key_results({each: (rows.get(each), ()) for each in ids})

    async def _key_results(self, rows: Mapping[Lookup, tuple[RecognisedKey | None, tuple[str, ...]]]) -> Outcomes:
        keys = [key for key, _ in rows.values() if key is not None]
        owners = await self._owners(keys)
        await self._learn(key.tenant for key in keys)
        own = await self._own_roles(_holders(keys, owners))
        return {each: _guarded(self._key_result, *row, owners, own) for each, row in rows.items()}

    async def _owners(self, keys: Sequence[RecognisedKey]) -> Owners:
        """Read after the keys that name them: a change in between is notified after the load began."""
        makers = {key.owner_key_id for key in keys if key.owner_key_id is not None}
        found = await self.api_keys.find_with_owners(self.database, makers) if makers else []
        people = people_of([*keys, *found])
        roles = await members.roles_now(self.database.control_reads, people) if people else {}
        return Owners({key.id: key for key in found}, roles)

    async def _operators(self, secrets: Sequence[KeySecret]) -> Outcomes:
        rows = await self.operator_keys.recognise(self.database, [each.text for each in secrets])
        return {each: _guarded(self._operator_result, each.text, rows.get(each.text)) for each in secrets}

    async def _users(self, people: Sequence[AccessClaims | MemberId]) -> Outcomes:
        claims = {each: _claims(each) for each in people}
        rows = await sign_ins.holders(self.database.control_reads, list(claims.values()))
        await self._learn(holder.tenant for holder in rows.values())
        own = await self._own_roles((each.tenant_id, row.roles) for each, row in rows.items())
        return {each: _guarded(self._user_result, of, rows.get(of), own) for each, of in claims.items()}

    async def judged(self, holders: Sequence[tuple[TenantRef, tuple[str, ...]]]) -> list[tuple[TenantRef, Policy]]:
        """Each tenant with the status that its revisions give it, and its own roles where one of these is its own."""
        await self._learn(tenant for tenant, _ in holders)
        own = await self._own_roles((tenant.id, roles) for tenant, roles in holders)
        return [(self._judged(tenant), _policy(tenant.id, own)) for tenant, _ in holders]

    async def _learn(self, tenants: Iterable[TenantRef]) -> None:
        await self.servable.learn(self.database.control_reads, {tenant.revisions for tenant in tenants})

    async def _own_roles(self, holders: Iterable[tuple[TenantId, tuple[str, ...]]]) -> OwnRoles:
        """The roles of those tenants whose principals have a role that is not built in.

        Read after the rows that name the roles: a change of one in between is notified after the load began.
        """
        tenants = {tenant for tenant, roles in holders if not BUILT_IN_ROLES.issuperset(roles)}
        return await self.roles.role_sets(self.database.control_reads, tenants) if tenants else {}

    def _key_result(
        self, key: RecognisedKey | None, own: tuple[str, ...], owners: Owners, roles: OwnRoles
    ) -> LookupResult:
        if key is None:
            return LookupResult(CredentialInvalid, own)
        now, policy, line = datetime.now(UTC), _policy(key.tenant.id, roles), list(owners.line(key))
        made_from = LookupResult(
            CredentialRevoked,
            own,
            tenant=_tag(ChangeKind.TENANT, key.tenant.id),
            user=_user_tag(owner_of(line[-1] if line else key).user),
            line=tuple(_digest_tag(each.digest) for each in (line if own else (key, *line))),
        )
        if key.revoked_at is not None:
            return replace(made_from, holder=Holder(key.tenant.id, Actor(ActorKind.API_KEY, key.id)))
        refusal = refusal_of(key, now)
        if refusal is not None:
            return replace(made_from, subject=refusal, expires_at=epoch(key.expires_at))
        bounds = bounds_of(key, owners, partial(self.roles.permissions_of, policy), now)
        subject = bounds.refusal or key_principal(key, bounds, self._judged(key.tenant), policy)
        return replace(made_from, subject=subject, expires_at=epoch(bounds.expires_at))

    def _operator_result(self, secret: str, key: RecognisedOperatorKey | None) -> LookupResult:
        own = self._own(ChangeKind.OPERATOR_KEY, secret)
        if key is None:
            return LookupResult(CredentialInvalid, own)
        subject = operator_refusal(key, datetime.now(UTC)) or operator(key)
        return LookupResult(subject, own, expires_at=epoch(key.expires_at))

    def _user_result(self, claims: AccessClaims, holder: sign_ins.Holder | None, roles: OwnRoles) -> LookupResult:
        subject: Subject | Refusal = CredentialRevoked
        if holder is not None and not (holder.is_disabled or holder.has_signed_out):
            subject = person(claims, holder.roles, self._judged(holder.tenant), _policy(claims.tenant_id, roles))
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
        return interned(tenant)

    def _own(self, kind: ChangeKind, secret: str) -> tuple[str, ...]:
        # Under every pepper: another worker may have created the key under a newer or older one.
        return tuple(f"{kind} {each.value.hex()}" for each in self.hasher.candidates(secret))


def _guarded(build: Callable[..., LookupResult], *arguments: Any) -> LookupResult | Exception:
    # A row that cannot be read as a principal must not fail the other credentials of the same query.
    try:
        return build(*arguments)
    except Exception as error:  # noqa: BLE001 - raised to the caller that sent the credential
        return error


def _holders(keys: Sequence[RecognisedKey], owners: Owners) -> list[tuple[TenantId, tuple[str, ...]]]:
    """The roles of these keys and of all their owners."""
    people = ((tenant, member.roles) for (tenant, _), member in owners.people.items())
    return [*((key.tenant.id, (key.role,)) for key in (*keys, *owners.keys.values())), *people]


def _claims(asked: AccessClaims | MemberId) -> AccessClaims:
    """Those of a person by id are of no sign-in, and do not expire."""
    return asked if isinstance(asked, AccessClaims) else AccessClaims(asked.id, asked.tenant_id, None, inf, ())


def _policy(tenant: TenantId, roles: OwnRoles) -> Policy:
    own = roles.get(tenant)
    return NO_OWN_ROLES if own is None else interned(own.policy)


def _digest_tag(digest: bytes) -> str:
    return f"{ChangeKind.API_KEY} {digest.hex()}"


def _user_tag(user: UserId | None) -> str | None:
    return None if user is None else _tag(ChangeKind.USER, user)


def _tag(kind: ChangeKind, changed: TenantId | UserId) -> str:
    return f"{kind} {changed}"
