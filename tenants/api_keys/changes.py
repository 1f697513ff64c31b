"""Changes of a key that do not end it: what it holds, how it is described, disabling and enabling.

Every call runs in the caller's transaction. Nobody changes a key that holds more than they do, except to narrow or
disable it; no change gives a key more than the caller holds (AZ5). The caller may be the key itself.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from tenants.api_keys import repository
from tenants.api_keys.holdings import Holding, holding_of_issuer, holding_of_key
from tenants.api_keys.issuer import Issuer, PermissionsOfRoles, RoleGrant, check_grant, narrowed_expiry, narrowed_limits
from tenants.api_keys.models import ApiKey
from tenants.api_keys.own_limits import change_own_limits
from tenants.api_keys.schemas import ChangeApiKey, audited
from tenants.api_keys.status import has_ended
from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.database.sessions import ControlSession
from tenants.errors import Conflict, Forbidden, NotFound, ValidationFailed, check_version
from tenants.identifiers import ApiKeyId, TenantId
from tenants.policy import Policy

_NARROWING = frozenset({"scopes", "expires_at", "allowed_cidrs", "limits"})  # what can make a key narrower


class KeyIsOver(Conflict):
    message = "The key was revoked or has expired and cannot be changed. Create a new key."


class WiderThanCaller(Forbidden):
    message = "The key holds, or would hold, more than you do. You can narrow it, disable it or revoke it."


class KeyChanges:
    """``permissions_of`` gives the permissions of roles, by the policy that requests are authorized with."""

    def __init__(self, permissions_of: PermissionsOfRoles) -> None:
        self._permissions_of = permissions_of

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

        Raises NotFound, PreconditionFailed, KeyIsOver, ValidationFailed, WiderThanCaller and TooManyLimits.
        """
        line = await repository.line(session, key) if "limits" in requested.model_fields_set else frozenset()
        locked = {each.id: each for each in await repository.lock_with_bound(session, tenant, key, line)}
        before = {each.id: audited(each) for each in locked.values()}
        found = _working(locked.pop(key, None), versions)
        self._check_values(found, requested, issuer.policy)
        old = holding_of_key(found, self._permissions_of, issuer.policy)
        _apply(found, requested, line, locked.values())
        self._check_holding(issuer, old, found, requested.model_fields_set)
        await session.flush()
        for each in (found, *locked.values()):
            after = audited(each)
            if after != before[each.id]:
                await audit.record(
                    session, tenant, origin, "api_keys.updated", each.id, before=before[each.id], after=after
                )
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

        Raises NotFound, KeyIsOver, and WiderThanCaller for a key that holds more than the issuer.
        """
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

    def _check_values(self, key: ApiKey, requested: ChangeApiKey, policy: Policy) -> None:
        """Raise ValidationFailed for values that this key cannot have, whoever asks."""
        sent = requested.model_fields_set
        if "scopes" in sent:
            check_grant(None, RoleGrant(key.role, requested.scopes), self._permissions_of, policy)
        if "limits" in sent:
            narrowed_limits(None, requested.limits)
        if "expires_at" in sent:
            narrowed_expiry(None, requested.expires_at, datetime.now(UTC))
            if key.rotated_at is not None and _is_later(requested.expires_at, key.expires_at):
                message = "The key was rotated: its overlap can be shortened, not extended."
                raise ValidationFailed.at("/expires_at", "rotated", message)

    def _check_holding(self, issuer: Issuer, old: Holding, key: ApiKey, sent: set[str]) -> None:
        """Raise WiderThanCaller unless the caller holds all of it before and after, or makes it only narrower."""
        new = holding_of_key(key, self._permissions_of, issuer.policy)
        own = holding_of_issuer(issuer, self._permissions_of)
        if not ((old.is_within(own) and new.is_within(own)) or (sent <= _NARROWING and new.is_within(old))):
            raise WiderThanCaller

    async def _locked(self, session: ControlSession, tenant: TenantId, key: ApiKeyId) -> ApiKey:
        return _working(await repository.find(session, tenant, key, lock=True), None)


def _working(key: ApiKey | None, versions: tuple[int, ...] | None) -> ApiKey:
    """The key, if it exists, is at one of these versions and has not ended."""
    if key is None:
        raise NotFound
    check_version(key.version, versions)
    if has_ended(key, datetime.now(UTC)):
        raise KeyIsOver
    return key


def _apply(key: ApiKey, requested: ChangeApiKey, line: frozenset[ApiKeyId], others: Iterable[ApiKey]) -> None:
    sent = requested.model_fields_set
    for name in sent - {"limits", "metadata", "scopes"}:
        setattr(key, name, getattr(requested, name))
    if "scopes" in sent:
        key.scopes = None if requested.scopes is None else sorted(set(requested.scopes))
    if "metadata" in sent:
        key.labels = dict(requested.metadata)
    if "limits" in sent:
        change_own_limits(key, requested.limits, line, others)


def _is_later(when: datetime | None, than: datetime | None) -> bool:
    return than is not None and (when is None or when > than)
