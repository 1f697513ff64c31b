"""The migration ledger as operators read it: the state of each tenant's schema against this code's target."""

from collections.abc import Sequence
from dataclasses import dataclass

from migrations import repository
from migrations.repository import Target, TenantMigrationStatus
from migrations.servable import Release
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.directory.models import MigrationState
from tenants.errors import NotFound
from tenants.identifiers import TenantId


@dataclass(frozen=True, slots=True)
class FleetCounts:
    """Tenants with an older schema that this code serves, and tenants that it cannot serve."""

    behind: int
    unservable: int


class Ledger:
    """Every call runs in the caller's transaction."""

    def __init__(self, release: Release) -> None:
        self._release = release

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
        """How many tenants there are of either kind."""
        release, behind, unservable = self._release, 0, 0
        for each in await repository.positions(session):
            if not release.serves(each.revisions, each.columns):
                unservable += each.tenants
            elif release.is_older(each.revisions):
                behind += each.tenants
        return FleetCounts(behind, unservable)

    async def _target(self, session: ControlSession) -> Target:
        release, found = self._release, await repository.positions(session)
        refused = (each.revisions for each in found if not release.serves(each.revisions, each.columns))
        return Target(release.heads, release.known, tuple(refused))
