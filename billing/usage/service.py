"""Adds batches of usage and reads usage."""

from collections.abc import Sequence
from uuid import UUID

from billing.usage import repository
from billing.usage.batch import Batch
from billing.usage.query import UsageQuery
from billing.usage.repository import UsageTotal
from tenants.api_keys.uses import repository as key_uses
from tenants.api_keys.uses.repository import KeyUse
from tenants.database.sessions import ControlSession


class Usage:
    """Every call runs in the caller's transaction."""

    async def apply(self, session: ControlSession, batch: Batch) -> bool:
        """Add the batch's counts. Changes nothing and returns False when the batch was added before."""
        if not await repository.insert_batch(session, batch.journal, batch.sequence):
            return False
        await repository.add(session, batch.columns)
        await key_uses.add_counted(session, batch.columns)
        return True

    async def apply_key_uses(
        self, session: ControlSession, recorder: UUID, sequence: int, uses: Sequence[KeyUse]
    ) -> bool:
        """Add uses of keys that no batch counts, under a batch's name of their own, so that they are added once too."""
        if not await repository.insert_batch(session, recorder, sequence):
            return False
        await key_uses.add(session, uses)
        return True

    async def read(self, session: ControlSession, query: UsageQuery) -> list[UsageTotal]:
        """The usage that workers have added so far."""
        return await repository.totals(session, query)
