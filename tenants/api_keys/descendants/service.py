"""Ends what keys have made, and gives keys to other owners (ID16).

Every call runs in the caller's transaction. What finds keys is exact while the caller has serialised the tenant
(``Roles.serialised``): no key is made or rotated meanwhile, so none escapes. A large number of keys is changed in
batches, so that no other request waits for it, and in one transaction: all of them or none.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime

from tenants.api_keys.descendants import repository
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
    message = (
        f"More than {MOST_AT_ONCE:,} keys would change at once. Revoke some of them first, such as what one of them"
        " made. Disabling a key refuses all that it owns at once."
    )


class Descendants:
    """What keys made, and what keys and people own."""

    async def page(
        self, session: ControlSession, tenant: TenantId, key: ApiKeyId, keyset: Keyset
    ) -> Sequence[ListedKey]:
        """A page of what a key made, transitively. The caller has found the key, and need not serialise."""
        return await repository.page_of_made(session, tenant, key, keyset)

    async def made_by(
        self, session: ControlSession, tenant: TenantId, keys: Collection[ApiKeyId]
    ) -> Sequence[ApiKeyId]:
        """These keys and all that they made, transitively, without those that were revoked. Raises TooManyKeys."""
        return _bounded(await repository.made_by(session, tenant, keys, MOST_AT_ONCE + 1))

    async def owned_by(self, session: ControlSession, tenant: TenantId, user: UserId) -> Sequence[ApiKeyId]:
        """A person's keys, and those that these own, without those that were revoked. Raises TooManyKeys."""
        return _bounded(await repository.owned_by(session, tenant, user, MOST_AT_ONCE + 1))

    async def directly_owned_by(self, session: ControlSession, tenant: TenantId, user: UserId) -> Sequence[ApiKeyId]:
        """The keys of a person: what has to be given so that all of them have another owner. Raises TooManyKeys."""
        return _bounded(await repository.directly_owned_by(session, tenant, user, MOST_AT_ONCE + 1))

    async def revoke(
        self, session: ControlSession, tenant: TenantId, keys: Sequence[ApiKeyId], *, origin: Origin
    ) -> None:
        """Revoke these keys, each with its row in the audit log."""
        now = datetime.now(UTC)

        def revoked(key: ApiKey) -> None:
            key.revoked_at = now

        await self._change(session, tenant, keys, revoked, action="api_keys.revoked", origin=origin)

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

        def given(key: ApiKey) -> None:
            if narrow is not None:
                narrow(key)
            key.owned_by, key.owner_user_id, key.owner_key_id = owner.kind.value, owner.user, owner.key

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
    ) -> None:
        for start in range(0, len(keys), _BATCH):
            rows = await repository.lock(session, tenant, keys[start : start + _BATCH])
            before = [audited(each) for each in rows]
            for each in rows:
                change(each)
            changes = [Change(each.id, old, audited(each)) for each, old in zip(rows, before, strict=True)]
            await repository.save(session, rows)
            await audit.record_all(session, tenant, origin, action, changes)


def _bounded(keys: Sequence[ApiKeyId]) -> Sequence[ApiKeyId]:
    if len(keys) > MOST_AT_ONCE:
        raise TooManyKeys
    return keys
