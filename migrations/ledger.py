"""How far the schema of each tenant is, beside what this code wants: what operators read through the gateway."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from migrations import repository
from migrations.models import State
from migrations.repository import TenantStanding, Wanted
from migrations.streams import heads, revisions_of, tenant_stream
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.errors import NotFound
from tenants.identifiers import TenantId


class Ledger:
    """Every call runs in the caller's transaction. ``locations`` are the folders of the SaaS's own revisions."""

    def __init__(self, locations: tuple[Path, ...]) -> None:
        self._locations = locations
        self._remembered: Wanted | None = None

    async def page(
        self, session: ControlSession, keyset: Keyset, *, state: State | None, behind: bool | None
    ) -> Sequence[TenantStanding]:
        """Tenants by the time of their making: those in ``state``, and those that are ``behind``, where it is given."""
        return await repository.page(session, await self._wanted(), keyset, state=state, behind=behind)

    async def read(self, session: ControlSession, tenant: TenantId) -> TenantStanding:
        """One tenant. Raises NotFound."""
        found = await repository.find(session, await self._wanted(), tenant)
        if found is None:
            raise NotFound
        return found

    async def _wanted(self) -> Wanted:
        """Read when it is first asked for, beside the event loop: no start waits for, or falls over, a folder."""
        if self._remembered is None:
            self._remembered = await asyncio.to_thread(_read, self._locations)
        return self._remembered


def _read(locations: tuple[Path, ...]) -> Wanted:
    stream = tenant_stream(locations)
    return Wanted(heads(stream), revisions_of(stream))
