"""The migration ledger as operators read it: the state of each tenant's schema against this code's target."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from migrations import repository
from migrations.repository import Target, TenantMigrationStatus
from migrations.servable import Release
from migrations.streams import heads, revisions_of, tenant_stream
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.directory.models import MigrationState
from tenants.errors import NotFound
from tenants.identifiers import TenantId


@dataclass(frozen=True, slots=True)
class FleetCounts:
    """Tenants whose schema is older than this code's target: those that it serves, and those that it cannot serve."""

    behind: int
    unservable: int


class Ledger:
    """Every call runs in the caller's transaction. ``locations`` are the folders of the SaaS's own revisions."""

    def __init__(self, locations: tuple[Path, ...], release: Release) -> None:
        self._locations = locations
        self._release = release
        self._cached: Target | None = None

    async def page(
        self,
        session: ControlSession,
        keyset: Keyset,
        *,
        state: MigrationState | None,
        behind: bool | None,
        servable: bool | None,
    ) -> Sequence[TenantMigrationStatus]:
        """A page of tenants by creation time, optionally filtered by ``state``, ``behind`` and ``servable``."""
        target = await self._target(session)
        return await repository.page(session, target, keyset, state=state, behind=behind, servable=servable)

    async def read(self, session: ControlSession, tenant: TenantId) -> TenantMigrationStatus:
        """One tenant. Raises NotFound."""
        found = await repository.find(session, await self._target(session), tenant)
        if found is None:
            raise NotFound
        return found

    async def counts(self, session: ControlSession) -> FleetCounts:
        """How many tenants are behind, and how many of all cannot be served."""
        code, behind, unservable = await self._code(), 0, 0
        for each in await repository.positions(session):
            if not self._release.serves(each.revisions, each.columns):
                unservable += each.tenants
            elif each.revisions != code.heads and code.known.issuperset(each.revisions):
                behind += each.tenants
        return FleetCounts(behind, unservable)

    async def _target(self, session: ControlSession) -> Target:
        found = await repository.positions(session)
        refused = (each.revisions for each in found if not self._release.serves(each.revisions, each.columns))
        return replace(await self._code(), unservable=tuple(refused))

    async def _code(self) -> Target:
        """Read on first use, outside the event loop, so that no start depends on the folders."""
        if self._cached is None:
            self._cached = await asyncio.to_thread(_read, self._locations)
        return self._cached


def _read(locations: tuple[Path, ...]) -> Target:
    stream = tenant_stream(locations)
    return Target(heads(stream), revisions_of(stream))
