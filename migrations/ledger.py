"""The migration ledger as operators read it: the state of each tenant's schema against this code's target."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from migrations import repository
from migrations.models import State
from migrations.repository import Target, TenantMigrationStatus
from migrations.streams import heads, revisions_of, tenant_stream
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.errors import NotFound
from tenants.identifiers import TenantId


class Ledger:
    """Every call runs in the caller's transaction. ``locations`` are the folders of the SaaS's own revisions."""

    def __init__(self, locations: tuple[Path, ...]) -> None:
        self._locations = locations
        self._cached: Target | None = None

    async def page(
        self, session: ControlSession, keyset: Keyset, *, state: State | None, behind: bool | None
    ) -> Sequence[TenantMigrationStatus]:
        """A page of tenants by creation time, optionally filtered by ``state`` and ``behind``."""
        return await repository.page(session, await self._target(), keyset, state=state, behind=behind)

    async def read(self, session: ControlSession, tenant: TenantId) -> TenantMigrationStatus:
        """One tenant. Raises NotFound."""
        found = await repository.find(session, await self._target(), tenant)
        if found is None:
            raise NotFound
        return found

    async def _target(self) -> Target:
        """Read on first use, outside the event loop, so that no start depends on the folders."""
        if self._cached is None:
            self._cached = await asyncio.to_thread(_read, self._locations)
        return self._cached


def _read(locations: tuple[Path, ...]) -> Target:
    stream = tenant_stream(locations)
    return Target(heads(stream), revisions_of(stream))
