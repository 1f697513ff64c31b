"""Ends what keys have made, and gives keys to other owners (ID16).

Every call runs in the caller's transaction. What finds keys is exact while the caller has serialised the tenant
(``Roles.serialised``): no key is made or rotated meanwhile, so none escapes. A large number of keys is changed in
batches, so that no other request waits for it. What gives keys changes all of them or none; what ends keys ends as many
as one transaction should, and says whether some are left (``steps.py``).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from tenants.api_keys.descendants import repository
from tenants.api_keys.descendants.repository import KeyCondition
from tenants.api_keys.descendants.walk import Walk
from tenants.api_keys.filters import ListedKey
from tenants.api_keys.lineage import Owner
from tenants.api_keys.models import ApiKey
from tenants.api_keys.schemas import audited
from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.audit.repository import Change
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.errors import Conflict
from tenants.identifiers import ApiKeyId, TenantId, UserId

MOST_AT_ONCE = 2_000  # keys that one transaction changes: it must end well within the timeout of transactions
_BATCH = 100  # keys; some 10 ms of a worker's CPU


class TooManyKeys(Conflict):
    message = f"More than {MOST_AT_ONCE:,} keys would change at once. Revoke some of them first."


class Ended(NamedTuple):
    """The keys that were revoked, and whether others are left."""

    keys: Sequence[ApiKeyId]
    is_left: bool


class Descendants:
    """What keys made, and what keys and people own."""

    async def page(
        self, session: ControlSession, tenant: TenantId, key: ApiKeyId, keyset: Keyset
    ) -> Sequence[ListedKey]:
        """A page of what a key made, transitively. The caller has found the key, and need not serialise."""
        return await repository.page_of_made(session, tenant, key, keyset)

    def made_by(self, tenant: TenantId, key: ApiKeyId) -> Walk:
        """The key and all that it made, transitively. One that was revoked is followed: what it made can be at work."""
        return Walk(tenant, repository.this_key(key), repository.MADE)

    def owned(self, tenant: TenantId, start: KeyCondition) -> Walk:
        """The keys for which ``start`` holds, and those that these own."""
        return Walk(tenant, start, repository.OWNED)

    def owned_by(self, tenant: TenantId, user: UserId) -> Walk:
        """A person's keys, of whatever membership, and those that these own."""
        return self.owned(tenant, repository.persons(tenant, user))

    async def end(self, session: ControlSession, tenant: TenantId, walk: Walk, *, origin: Origin) -> Ended:
        """Revoke as many of these keys as one transaction should; the same walk goes on in the next one."""
        keys = sorted(await walk.part(session, MOST_AT_ONCE))
        await self.revoke(session, tenant, keys, origin=origin)
        return Ended(keys, walk.is_left)

    async def are_few(self, session: ControlSession, walk: Walk) -> bool:
        """Whether these keys can be followed, and changed, by one transaction."""
        await walk.part(session, MOST_AT_ONCE)
        return not walk.is_left

    async def directly_owned_by(
        self, session: ControlSession, tenant: TenantId, user: UserId, since: datetime
    ) -> Sequence[ApiKeyId]:
        """The keys that a person owns as a member since then: what to give so that all of them have another owner.

        Raises TooManyKeys.
        """
        found = await repository.directly_owned_by(session, tenant, user, since, MOST_AT_ONCE + 1)
        if len(found) > MOST_AT_ONCE:
            raise TooManyKeys
        return found

    async def revoke(
        self, session: ControlSession, tenant: TenantId, keys: Sequence[ApiKeyId], *, origin: Origin
    ) -> None:
        """Revoke those of these keys that are not, each with its row in the audit log."""
        now = datetime.now(UTC)

        def revoked(key: ApiKey) -> None:
            key.revoked_at = now

        await self._change(session, tenant, keys, revoked, action="api_keys.revoked", origin=origin, only_working=True)

    async def expire(
        self, session: ControlSession, tenant: TenantId, keys: Sequence[ApiKeyId], end: datetime, *, origin: Origin
    ) -> None:
        """Let these keys expire then, each with its row in the audit log. The caller has chosen keys that end later."""

        def expiring(key: ApiKey) -> None:
            key.expires_at = end

        await self._change(session, tenant, keys, expiring, action="api_keys.updated", origin=origin)

    async def give(
        self,
        session: ControlSession,
        tenant: TenantId,
        keys: Sequence[ApiKeyId],
        owner: Owner,
        *,
        origin: Origin,
        narrow: Callable[[ApiKey], None] | None = None,
    ) -> None:
        """Give these keys to another owner, each with its row in the audit log. ``narrow`` changes a key before."""
        since = await repository.now(session)

        def given(key: ApiKey) -> None:
            if narrow is not None:
                narrow(key)
            key.owned_by, key.owner_user_id, key.owner_key_id = owner.kind.value, owner.user, owner.key
            key.owned_since = since

        await self._change(session, tenant, keys, given, action="api_keys.handed_over", origin=origin)

    async def rows(self, session: ControlSession, tenant: TenantId, keys: Sequence[ApiKeyId]) -> list[ApiKey]:
        """These keys, locked until the transaction ends."""
        return [
            key
            for start in range(0, len(keys), _BATCH)
            for key in await repository.lock(session, tenant, keys[start : start + _BATCH])
        ]

    async def _change(
        self,
        session: ControlSession,
        tenant: TenantId,
        keys: Sequence[ApiKeyId],
        change: Callable[[ApiKey], None],
        *,
        action: str,
        origin: Origin,
        only_working: bool = False,
    ) -> None:
        for start in range(0, len(keys), _BATCH):
            locked = await repository.lock(session, tenant, keys[start : start + _BATCH])
            rows = [key for key in locked if not only_working or key.revoked_at is None]
            before = [audited(each) for each in rows]
            for each in rows:
                change(each)
            changes = [Change(each.id, old, audited(each)) for each, old in zip(rows, before, strict=True)]
            await repository.save(session, rows)
            await audit.record_all(session, tenant, origin, action, changes)
