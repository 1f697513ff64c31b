"""Verifies the chains of tenants, reading them in batches as their own roles (AU2)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from psycopg import errors

from tenants.audit import repository
from tenants.audit.chain import ChainedRow, genesis
from tenants.audit.verifier import ChainEnd, FaultKind, Faults, Verifier
from tenants.database.sessions import Database
from tenants.events import repository as events
from tenants.principal import TenantRef

BEFORE_ALL = -(2**63)  # also before sequences that nothing of ours gives
ROWS = 2_000  # of one statement: some 20 ms of PostgreSQL
_NOT_MIGRATED = (errors.InvalidSchemaName, errors.UndefinedTable, errors.UndefinedColumn)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found in one tenant's log."""

    tenant: TenantRef
    events: int  # chained ones, which were checked
    unchained: int  # written a moment ago, without a hash yet
    oldest_unchained: datetime | None
    signed: ChainEnd | None  # the last checkpoint, if there is one
    faults: Faults

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults.count


class Verification:
    """Opens its own transactions, one for each batch, so that a log of any length is checked in bounded memory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(
        self, tenant: TenantRef, checkpoints: Iterable[ChainEnd], progress: Callable[[int], None] = lambda _: None
    ) -> Verdict:
        """Check every event of the tenant. ``progress`` is called with the numbers of events checked.

        Raises Unavailable when PostgreSQL is unavailable.
        """
        signed = sorted(checkpoints, key=lambda end: end.sequence)
        latest = signed[-1] if signed else None
        try:
            verifier, faults = await self._verified(tenant, signed, progress)
            unchained, oldest, odd = await events.unchained(self._database.management(tenant))
        except _NOT_MIGRATED as error:
            faults = Faults()
            faults.add(FaultKind.UNREADABLE, 0, None, f"the log cannot be read, migrate the tenant: {error}")
            return Verdict(tenant, 0, 0, None, latest, faults)
        if odd:
            faults.add(FaultKind.ADDED, 0, None, f"{odd} events have a hash and no sequence")
        return Verdict(tenant, verifier.events, unchained, oldest, latest, faults)

    async def _verified(
        self, tenant: TenantRef, signed: list[ChainEnd], progress: Callable[[int], None]
    ) -> tuple[Verifier, Faults]:
        # The end is read before the events and again after them: events are chained meanwhile.
        recorded = await self._recorded_end(tenant)
        verifier = Verifier(genesis(tenant.id), [*signed, *([recorded] if recorded else [])])
        nothing_chained = recorded is None and not signed  # an older release has numbered the events
        work, after = self._database.management(tenant), BEFORE_ALL
        while rows := await events.hashed(work, after, ROWS):
            for sequence, digest, *content in rows:
                if digest is not None or not nothing_chained:
                    verifier.feed(ChainedRow(sequence, digest, content))
            after = rows[-1][0]
            progress(len(rows))
        newest = await self._recorded_end(tenant)
        return verifier, verifier.finish(newest.sequence if newest else 0)

    async def _recorded_end(self, tenant: TenantRef) -> ChainEnd | None:
        async with self._database.control() as session:
            sequence, digest = await repository.end_of(session, tenant.id)
        return None if digest is None else ChainEnd(sequence, digest)
