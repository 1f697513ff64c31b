"""Reads a tenant's audit log, as its own role: a page, one event, a stream of all."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from tenants.database.keyset import Keyset
from tenants.database.sessions import Database
from tenants.errors import NotFound
from tenants.events import repository
from tenants.events.repository import EventFilter, StoredEvent
from tenants.identifiers import new_id
from tenants.principal import TenantRef

_BATCH = 500  # events of one statement of a stream
# Ids are made a moment before the event is, by the clocks of other hosts. Only the range that is read depends on it.
_SLACK = 86_400.0  # seconds
_TIME_SHIFT = 80  # the first 48 bits of a UUIDv7 are milliseconds since 1970
_NEWEST = (1 << 48) - 1


class AuditLog:
    """Every read is a statement of its own, with the tenant's share of the connections for management."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, tenant: TenantRef, selected: EventFilter, keyset: Keyset) -> list[StoredEvent]:
        """A page by time of making, unchained events included: no event twice, also when it is chained meanwhile."""
        work = self._database.management(tenant)
        return await repository.page(work, _bounded(selected), keyset.count, keyset.after, descending=keyset.descending)

    async def read(self, tenant: TenantRef, event: UUID) -> StoredEvent:
        """One event. Raises NotFound."""
        found = await repository.find(self._database.management(tenant), event)
        if found is None:
            raise NotFound
        return found

    async def stream(self, tenant: TenantRef, selected: EventFilter) -> AsyncIterator[list[StoredEvent]]:
        """Every event that there is now, in batches of bounded size, the oldest first."""
        work, after = self._database.management(tenant), None
        bounded, now = _bounded(selected), new_id()
        bounded = replace(bounded, last=now if bounded.last is None else min(now, bounded.last))
        while batch := await repository.batch(work, bounded, _BATCH, after):
            yield batch
            after = batch[-1].id


def _bounded(selected: EventFilter) -> EventFilter:
    first = None if selected.since is None else _id_at(selected.since, -_SLACK)
    last = None if selected.until is None else _id_at(selected.until, _SLACK)
    return replace(selected, first=first, last=last)


def _id_at(when: datetime, later: float) -> UUID:
    milliseconds = int((when.timestamp() + later) * 1000)
    return UUID(int=min(max(0, milliseconds), _NEWEST) << _TIME_SHIFT)
