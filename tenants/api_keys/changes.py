"""Changes of a key that do not end it: what it holds, how it is described, disabling and enabling.

Every call runs in the caller's transaction. Nobody changes a key that holds more than they do, except to narrow or
disable it; no change gives a key more than the caller holds (AZ5). The caller may be the key itself.
"""

from datetime import UTC, datetime

from tenants.api_keys import repository
from tenants.api_keys.descendants.repository import lock
from tenants.api_keys.descendants.service import MOST_AT_ONCE, TooManyKeys
from tenants.api_keys.holdings import Holding, holding_of_issuer, holding_of_key
from tenants.api_keys.issuer import Issuer, PermissionsOfRoles, RoleGrant, check_grant, narrowed_expiry, narrowed_limits
from tenants.api_keys.models import ApiKey
from tenants.api_keys.own_limits import LimitsChange
from tenants.api_keys.schemas import ChangeApiKey, audited
from tenants.api_keys.standing import RolesNow, Standings
from tenants.api_keys.status import has_ended
from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.audit.repository import Change
from tenants.database.sessions import ControlSession
from tenants.errors import Conflict, Forbidden, NotFound, ValidationFailed, check_version
from tenants.identifiers import ApiKeyId, TenantId
from tenants.policy import Policy

_BATCH = 100  # keys; some 10 ms of a worker's CPU
_NARROWING = frozenset({"scopes", "expires_at", "allowed_cidrs", "limits"})  # what can make a key narrower


class KeyIsOver(Conflict):
    message = "The key was revoked or has expired and cannot be changed. Create a new key."


class WiderThanCaller(Forbidden):
    message = "The key holds, or would hold, more than you do. You can narrow it, disable it or revoke it."


class KeyChanges:
    """``permissions_of`` gives the permissions of roles, by the policy that requests are authorized with."""

    def __init__(self, permissions_of: PermissionsOfRoles, roles_now: RolesNow) -> None:
        self._permissions_of = permissions_of
        self._standings = Standings(permissions_of, roles_now)

    async def change(
        self,
        session: ControlSession,
        tenant: TenantId,
        issuer: Issuer,
        key: ApiKeyId,
        requested: ChangeApiKey,
        *,
        origin: Origin,
        versions: tuple[int, ...] | None = None,
    ) -> ApiKey:
        """Change the fields that were sent; in force on every worker within the bound of ID4.

        The caller has serialised the tenant (``Roles.serialised``): no key is made while limits of its maker change.
        Raises NotFound, PreconditionFailed, KeyIsOver, ValidationFailed, WiderThanCaller, TooManyLimits, TooManyKeys;
        CredentialRevoked and CredentialExpired for an issuer that has ended since.
        """
        issuer = (await self._standings.read(session, issuer)).issuer or issuer
        found = await self._locked(session, tenant, key, versions)
        self._check_values(found, requested, issuer.policy)
        await _check_overlap(session, found, requested)
        before, old = audited(found), holding_of_key(found, self._permissions_of, issuer.policy)
        limits = await _limits_change(session, found, requested)
        _apply(found, requested, limits)
        self._check_holding(issuer, old, found, requested.model_fields_set)
        await session.flush()
        if audited(found) != before:
            await audit.record(session, tenant, origin, "api_keys.updated", key, before=before, after=audited(found))
        if limits is not None:
            await self._change_bound(session, tenant, found, limits, origin)
        return found

    async def disable(self, session: ControlSession, tenant: TenantId, key: ApiKeyId, *, origin: Origin) -> None:
        """Refuse the key until it is enabled; idempotent. Raises NotFound and KeyIsOver."""
        found = await self._locked(session, tenant, key)
        if found.disabled_at is not None:
            return
        before, found.disabled_at = audited(found), datetime.now(UTC)
        await session.flush()
        await audit.record(session, tenant, origin, "api_keys.disabled", key, before=before, after=audited(found))

    async def enable(
        self, session: ControlSession, tenant: TenantId, issuer: Issuer | None, key: ApiKeyId, *, origin: Origin
    ) -> None:
        """Accept the key again; idempotent. ``issuer`` is None only for the SaaS's own staff.

        The caller has serialised the tenant. Raises NotFound, KeyIsOver, and WiderThanCaller for a key that holds more
        than the issuer; CredentialRevoked and CredentialExpired for an issuer that has ended since.
        """
        issuer = (await self._standings.read(session, issuer)).issuer
        found = await self._locked(session, tenant, key)
        if issuer is not None:
            holding = holding_of_key(found, self._permissions_of, issuer.policy)
            if not holding.is_within(holding_of_issuer(issuer, self._permissions_of)):
                raise WiderThanCaller
        if found.disabled_at is None:
            return
        before, found.disabled_at = audited(found), None
        await session.flush()
        await audit.record(session, tenant, origin, "api_keys.enabled", key, before=before, after=audited(found))

    async def _change_bound(
        self, session: ControlSession, tenant: TenantId, key: ApiKey, limits: LimitsChange, origin: Origin
    ) -> None:
        """Change the limits of the other keys that work and are bound by them, in batches."""
        bound = await repository.bound_by(session, tenant, limits.keys, MOST_AT_ONCE + 2)
        others = [each for each in bound if each != key.id]
        if len(others) > MOST_AT_ONCE:
            raise TooManyKeys
        for start in range(0, len(others), _BATCH):
            rows = await lock(session, tenant, others[start : start + _BATCH])
            before = [audited(each) for each in rows]
            for each in rows:
                limits.apply(each)
            changes = [Change(each.id, old, audited(each)) for each, old in zip(rows, before, strict=True)]
            await repository.save_limits(session, rows)
            changed = [each for each in changes if each.before != each.after]
            await audit.record_all(session, tenant, origin, "api_keys.updated", changed)

    def _check_values(self, key: ApiKey, requested: ChangeApiKey, policy: Policy) -> None:
        """Raise ValidationFailed for values that this key cannot have, whatever the caller holds."""
        sent = requested.model_fields_set
        if "scopes" in sent:
            check_grant(None, RoleGrant(key.role, requested.scopes), self._permissions_of, policy)
        if "limits" in sent:
            narrowed_limits(None, requested.limits)
        if "expires_at" in sent:
            narrowed_expiry(None, requested.expires_at, datetime.now(UTC))

    def _check_holding(self, issuer: Issuer, old: Holding, key: ApiKey, sent: set[str]) -> None:
        """Raise WiderThanCaller unless the caller holds all of it before and after, or makes it only narrower."""
        new = holding_of_key(key, self._permissions_of, issuer.policy)
        own = holding_of_issuer(issuer, self._permissions_of)
        if not ((old.is_within(own) and new.is_within(own)) or (sent <= _NARROWING and new.is_within(old))):
            raise WiderThanCaller

    async def _locked(
        self, session: ControlSession, tenant: TenantId, key: ApiKeyId, versions: tuple[int, ...] | None = None
    ) -> ApiKey:
        """The key, if it is at one of these versions and has not ended."""
        found = await repository.find(session, tenant, key, lock=True)
        if found is None:
            raise NotFound
        check_version(found.version, versions)
        if has_ended(found, datetime.now(UTC)):
            raise KeyIsOver
        return found


async def _check_overlap(session: ControlSession, key: ApiKey, requested: ChangeApiKey) -> None:
    """Raise ValidationFailed when a key that was rotated would live longer. An older release records no time of it."""
    if "expires_at" not in requested.model_fields_set or not _is_later(requested.expires_at, key.expires_at):
        return
    if key.rotated_at is not None or await repository.has_successor(session, key.id):
        message = "The key was rotated: its overlap can be shortened, not extended."
        raise ValidationFailed.at("/expires_at", "rotated", message)


async def _limits_change(session: ControlSession, key: ApiKey, requested: ChangeApiKey) -> LimitsChange | None:
    if "limits" not in requested.model_fields_set:
        return None
    return LimitsChange.of(key, requested.limits, await repository.line(session, key.id))


def _apply(key: ApiKey, requested: ChangeApiKey, limits: LimitsChange | None) -> None:
    sent = requested.model_fields_set
    for name in sent - {"limits", "metadata", "scopes"}:
        setattr(key, name, getattr(requested, name))
    if "scopes" in sent:
        key.scopes = None if requested.scopes is None else sorted(set(requested.scopes))
    if "metadata" in sent:
        key.labels = dict(requested.metadata)
    if limits is not None:
        limits.apply(key)


def _is_later(when: datetime | None, than: datetime | None) -> bool:
    return than is not None and (when is None or when > than)
