"""Ends reported keys of one tenant with all that was made with them, as the tenant has chosen, and notifies it.

``revoke`` revokes them at once; with ``grace`` they expire after a day. The row that says that a key was reported, its
event, its end and the messages are one transaction. The finder of a leaked key can make many more with it, so the keys
that were made are ended in as many transactions as needed, and a repeated report goes on with those that are left.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from tenants.api_keys.descendants.service import Descendants
from tenants.api_keys.descendants.steps import in_steps
from tenants.api_keys.models import ApiKey
from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.audit.repository import Change
from tenants.database.sessions import ControlSession, Database
from tenants.directory import repository as directory
from tenants.directory.models import Tenant
from tenants.identifiers import ApiKeyId, TenantId
from tenants.leaked_keys import repository
from tenants.leaked_keys.place import Place
from tenants.mail.service import Mail
from tenants.mail.templates import KeyLine, KeysLeaked, render
from tenants.members import repository as members

GRACE = timedelta(hours=24)
MOST_AT_ONCE = 500  # keys made with others that one transaction ends; the last line of them can exceed it
_REVOKE, _GRACE = "revoke", "grace"  # what a tenant can choose


class Ending:
    """Opens its own transactions."""

    def __init__(self, database: Database, descendants: Descendants, mail: Mail | None, product: str) -> None:
        self._database = database
        self._descendants = descendants
        self._mail = mail
        self._product = product

    async def end(self, tenant: TenantId, places: Mapping[ApiKeyId, Place], origin: Origin) -> None:
        """End these keys of the tenant. Raises Unavailable for a tenant that must be migrated first."""

        async def step(session: ControlSession) -> bool:
            owner = await directory.find(session, tenant)
            return owner is not None and await self._end_some(session, owner, places, origin)

        await in_steps(self._database.control, tenant, step)

    async def _end_some(
        self, session: ControlSession, owner: Tenant, places: Mapping[ApiKeyId, Place], origin: Origin
    ) -> bool:
        """End as many keys as one transaction should; whether some may be left."""
        now, keys = datetime.now(UTC), await self._descendants.rows(session, owner.id, sorted(places))
        responses = await repository.responses(session, owner.id, [key.id for key in keys])
        news = [key for key in keys if key.id not in responses and not _has_ended(key, now)]
        await _record(session, owner, news, places, origin)
        await self._notify(session, owner, news, places)
        await self._end_reported(session, owner, news, now, origin)
        responses |= {key.id: owner.leaked_keys for key in news}
        ended = 0
        for key in keys:
            response = responses.get(key.id)
            end = now if response == _REVOKE else key.expires_at  # None by now is the tenant's decision
            if response is None or end is None or ended >= MOST_AT_ONCE:
                continue
            line = await repository.made_with(session, owner.id, key.id, end, MOST_AT_ONCE)
            if response == _REVOKE:
                await self._descendants.revoke(session, owner.id, line, origin=origin)
            else:
                await self._descendants.expire(session, owner.id, line, end, origin=origin)
            ended += len(line)
        return ended >= MOST_AT_ONCE

    async def _end_reported(
        self, session: ControlSession, owner: Tenant, keys: Sequence[ApiKey], now: datetime, origin: Origin
    ) -> None:
        """End the reported keys themselves, before what was made with them."""
        end = now + GRACE
        if owner.leaked_keys == _REVOKE:
            await self._descendants.revoke(session, owner.id, [key.id for key in keys], origin=origin)
        else:
            later = [key.id for key in keys if key.expires_at is None or key.expires_at > end]
            await self._descendants.expire(session, owner.id, later, end, origin=origin)

    async def _notify(
        self, session: ControlSession, owner: Tenant, keys: Sequence[ApiKey], places: Mapping[ApiKeyId, Place]
    ) -> None:
        if self._mail is None or not keys:
            return
        lines = tuple(KeyLine.of(key, places[key.id].shown) for key in keys)
        hours = GRACE // timedelta(hours=1) if owner.leaked_keys == _GRACE else 0
        content = render(KeysLeaked(self._product, owner.name, lines, hours))
        for email in (await members.reachable_admins(session, owner.id)).values():
            await self._mail.enqueue(session, email, content)


async def _record(
    session: ControlSession, owner: Tenant, keys: Sequence[ApiKey], places: Mapping[ApiKeyId, Place], origin: Origin
) -> None:
    changes = []
    for key in keys:
        place = places[key.id]
        await repository.add(session, key, place, owner.leaked_keys)
        found = {"found_in": place.source, "url": place.url, "response": owner.leaked_keys}
        after = {"name": key.name, "prefix": key.prefix, "last4": key.last4} | found
        changes.append(Change(key.id, after=after))
    await audit.record_all(session, owner.id, origin, "api_keys.leaked", changes)


def _has_ended(key: ApiKey, now: datetime) -> bool:
    return key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now)
