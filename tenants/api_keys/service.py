"""API keys: create, list, rotate, revoke and recognise.

Recognising reads on its own connections; every other call runs in the caller's transaction.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from tenants.api_keys import repository
from tenants.api_keys.descendants import repository as lineage_repository
from tenants.api_keys.descendants.service import Descendants
from tenants.api_keys.descendants.steps import Transactions, in_steps
from tenants.api_keys.family import join_as_child, join_as_successor
from tenants.api_keys.filters import KeyFilter, ListedKey
from tenants.api_keys.issuer import (
    ExceedsIssuer,
    Issuer,
    PermissionsOfRoles,
    RoleGrant,
    check_grant,
    narrowed_expiry,
    narrowed_limits,
    narrowed_networks,
    owner_for,
)
from tenants.api_keys.lineage import MOST_OWNERS, OwnerKind, TooManyOwners, columns_of, owned_since, owner_of
from tenants.api_keys.models import ApiKey
from tenants.api_keys.recognised import RecognisedKey
from tenants.api_keys.schemas import CreateApiKey, KeyLimit, RotateApiKey, audited, check_environment
from tenants.api_keys.standing import RolesNow, Standings
from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession, Database
from tenants.errors import Conflict, NotFound, ValidationFailed
from tenants.identifiers import ApiKeyId, TenantId, new_id
from tenants.policy import NO_OWN_ROLES, Policy
from tenants.principal import PrincipalKind
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.recognition import recognise
from tenants.secrets.tokens import SecretKind, generate, last4_of, prefix_of
from tenants.values.errors import BadValue


class KeyHasEnded(Conflict):
    message = "The key was rotated, revoked or has expired and cannot be rotated again. Create a new key."


class KeyIsDisabled(Conflict):
    message = "The key is disabled and cannot be rotated. Enable it first, or create a new key."


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key and its secret, which is stored nowhere."""

    key: ApiKey
    secret: str


class ApiKeys:
    """``permissions_of`` gives the permissions of roles, by the policy that requests are authorized with."""

    def __init__(self, hasher: SecretHasher, permissions_of: PermissionsOfRoles, roles_now: RolesNow) -> None:
        self._hasher = hasher
        self._permissions_of = permissions_of
        self._standings = Standings(permissions_of, roles_now)
        self.descendants = Descendants()

    async def create(
        self,
        session: ControlSession,
        tenant: TenantId,
        issuer: Issuer | None,
        requested: CreateApiKey,
        *,
        origin: Origin,
        policy: Policy = NO_OWN_ROLES,
    ) -> IssuedKey:
        """Create a key. ``issuer`` is None only for the SaaS's own staff; ``policy`` then has the tenant's own roles.

        The caller holds the tenant's roles and members. Raises ValidationFailed, ExceedsIssuer, NoServiceKeys,
        TooManyLimits and TooManyOwners; CredentialRevoked and CredentialExpired for an issuer that has ended since.
        """
        standing = await self._standings.read(session, issuer)
        issuer, maker = standing.issuer, standing.key
        owner = owner_for(issuer, maker, requested.owner)
        if owner.kind is OwnerKind.KEY and standing.keys > MOST_OWNERS:
            raise TooManyOwners
        check_grant(issuer, RoleGrant(requested.role, requested.scopes), self._permissions_of, policy)
        key = ApiKey(
            id=ApiKeyId(new_id()),
            tenant_id=tenant,
            name=requested.name,
            description=requested.description,
            labels=dict(requested.metadata),
            role=requested.role,
            scopes=None if requested.scopes is None else sorted(set(requested.scopes)),
            environment=requested.environment,
            allowed_cidrs=narrowed_networks(issuer, requested.allowed_cidrs),
            limits=[limit.model_dump() for limit in narrowed_limits(issuer, requested.limits)],
            **_made_by(issuer),
            **columns_of(owner),
            owned_since=await lineage_repository.now(session),
            expires_at=narrowed_expiry(issuer, requested.expires_at, datetime.now(UTC)),
        )
        join_as_child(key, requested.limits, maker)
        return await self._issue(session, key, origin)

    async def page(
        self, session: ControlSession, tenant: TenantId, keyset: Keyset, filters: Sequence[KeyFilter] = ()
    ) -> Sequence[ListedKey]:
        """A page of this tenant's keys for which all conditions hold, revoked ones included."""
        return await repository.page(session, tenant, keyset, filters)

    async def listed(self, session: ControlSession, tenant: TenantId, key: ApiKeyId) -> ListedKey:
        """One key of this tenant, with its use. Raises NotFound."""
        found = await repository.find_listed(session, tenant, key)
        if found is None:
            raise NotFound
        return found

    async def read(self, session: ControlSession, tenant: TenantId, key: ApiKeyId) -> ApiKey:
        """One key of this tenant. Raises NotFound."""
        return await self._found(session, tenant, key)

    async def rotate(
        self,
        session: ControlSession,
        tenant: TenantId,
        issuer: Issuer,
        key: ApiKeyId,
        requested: RotateApiKey,
        *,
        origin: Origin,
    ) -> IssuedKey:
        """Create the successor of a key, which ends after the overlap; what it owns is the successor's at once.

        The caller has serialised the tenant (``Roles.serialised``): rotating changes the owners of other keys.
        Raises NotFound; KeyHasEnded for a key that has ended or has a successor; KeyIsDisabled; ValidationFailed for
        one of a test environment; ExceedsIssuer for one that holds more than the issuer, who would get its secret;
        TooManyLimits.
        """
        standing = await self._standings.read(session, issuer)
        issuer = standing.issuer or issuer
        old, now = await self._found(session, tenant, key, lock=True), datetime.now(UTC)
        if old.revoked_at or (old.expires_at and old.expires_at <= now) or await repository.has_successor(session, key):
            raise KeyHasEnded
        if old.disabled_at is not None:
            raise KeyIsDisabled
        _check_environment(old)
        scopes = self._scopes(old, issuer, requested)
        check_grant(issuer, RoleGrant(old.role, scopes), self._permissions_of)
        successor = self._successor(old, issuer, scopes, now)
        join_as_successor(successor, old, standing.key)
        before = audited(old)
        old.rotated_at = now
        await repository.end_at(session, old, now + timedelta(seconds=requested.overlap_seconds))
        await audit.record(session, tenant, origin, "api_keys.rotated", key, before=before, after=audited(old))
        issued = await self._issue(session, successor, origin)
        await lineage_repository.pass_on(session, tenant, old.id, successor.id)
        return issued

    async def revoke(self, session: ControlSession, tenant: TenantId, key: ApiKeyId, *, origin: Origin) -> None:
        """Revoke a key for good. What it owns works on, bound by what the key held. Idempotent. Raises NotFound."""
        await self._found(session, tenant, key, lock=True)
        await self.descendants.revoke(session, tenant, [key], origin=origin)

    async def revoke_with_made(
        self, transactions: Transactions, tenant: TenantId, key: ApiKeyId, *, origin: Origin
    ) -> None:
        """Revoke a key and all that it made, transitively, in as many transactions as needed; raises NotFound.

        Up to ``MOST_AT_ONCE`` keys end in one transaction: all of them or none. Of more, the key itself ends in the
        first one; after a failure, the same again ends the rest.
        """
        walk = self.descendants.made_by(tenant, key)

        async def step(session: ControlSession) -> bool:
            await self._found(session, tenant, key)
            return (await self.descendants.end(session, tenant, walk, origin=origin)).is_left

        await in_steps(transactions, tenant, step)

    async def page_of_descendants(
        self, session: ControlSession, tenant: TenantId, key: ApiKeyId, keyset: Keyset
    ) -> Sequence[ListedKey]:
        """A page of what the key made, transitively, revoked ones included. Raises NotFound."""
        await self._found(session, tenant, key)
        return await self.descendants.page(session, tenant, key, keyset)

    async def count_by_pepper(self, session: ControlSession) -> Mapping[int, int]:
        """How many keys that have not ended need each version of the pepper."""
        return await repository.count_by_pepper(session)

    async def recognise(self, database: Database, secrets: Sequence[str]) -> dict[str, RecognisedKey]:
        """See ``tenants/secrets/recognition.py``."""
        return await recognise(database, self._hasher, secrets, repository.find_by_digests, repository.rehash)

    async def find_by_ids(self, database: Database, keys: Collection[ApiKeyId]) -> Sequence[RecognisedKey]:
        """The keys with these ids, of any tenant, ended or not. Raises Unavailable."""
        return await repository.find_by_ids(database.control_reads, keys)

    async def find_with_owners(self, database: Database, keys: Collection[ApiKeyId]) -> Sequence[RecognisedKey]:
        """The keys with these ids, and those that own them, directly or through others. Raises Unavailable."""
        return await repository.find_with_owners(database.control_reads, keys)

    def _scopes(self, old: ApiKey, issuer: Issuer, requested: RotateApiKey) -> list[str] | None:
        """Of the successor: those that are requested, else the old key's, without what its role has lost since."""
        if requested.scopes is not None or old.scopes is None:
            return old.scopes if requested.scopes is None else sorted(set(requested.scopes))
        return sorted(self._permissions_of(issuer.policy, (old.role,)).intersection(old.scopes))

    def _successor(self, old: ApiKey, issuer: Issuer, scopes: list[str] | None, now: datetime) -> ApiKey:
        limits = [KeyLimit.model_validate(limit) for limit in old.limits]
        networks = narrowed_networks(issuer, old.allowed_cidrs)
        expires_at = narrowed_expiry(issuer, old.expires_at, now)
        if networks != old.allowed_cidrs or expires_at != old.expires_at:
            raise ExceedsIssuer(detail="the old key has wider networks or ends later than its issuer")
        return ApiKey(
            id=ApiKeyId(new_id()),
            tenant_id=old.tenant_id,
            name=old.name,
            description=old.description,
            labels=old.labels,
            role=old.role,
            scopes=scopes,
            environment=old.environment,
            allowed_cidrs=networks,
            limits=[limit.model_dump() for limit in narrowed_limits(issuer, limits)],
            **_made_by(issuer),
            **columns_of(owner_of(old)),
            owned_since=owned_since(old),  # a new secret is no new membership
            rotated_from_id=old.id,
            expires_at=expires_at,
        )

    async def _issue(self, session: ControlSession, key: ApiKey, origin: Origin) -> IssuedKey:
        kind = SecretKind.LIVE
        secret = generate(kind)
        digest = self._hasher.digest(secret)
        key.digest, key.pepper_version = digest.value, digest.pepper_version
        key.prefix, key.last4 = prefix_of(secret, kind), last4_of(secret)
        session.add(key)
        await session.flush()
        await session.refresh(key, ["created_at"])
        await audit.record(session, key.tenant_id, origin, "api_keys.created", key.id, after=audited(key))
        return IssuedKey(key, secret)

    async def _found(self, session: ControlSession, tenant: TenantId, key: ApiKeyId, *, lock: bool = False) -> ApiKey:
        found = await repository.find(session, tenant, key, lock=lock)
        if found is None:
            raise NotFound
        return found


def _check_environment(key: ApiKey) -> None:
    """Releases before test environments were reserved made such keys. Raises ValidationFailed, as for a new one."""
    try:
        check_environment(key.environment)
    except BadValue as error:
        raise ValidationFailed.at("/environment", error.code, error.message) from error


def _made_by(issuer: Issuer | None) -> dict[str, UUID | None]:
    """The columns that record the maker for good: the key, and the person, whose key it may have been."""
    principal = issuer.principal if issuer else None
    is_key = principal is not None and principal.kind is PrincipalKind.API_KEY
    return {
        "created_by_user_id": principal.user_id if principal else None,
        "created_by_key_id": principal.id if principal and is_key else None,
    }
