"""Adds batches of usage and reads usage."""

from billing.usage import repository
from billing.usage.batch import Batch
from billing.usage.query import UsageQuery
from billing.usage.repository import UsageTotal
from tenants.database.sessions import ControlSession


class Usage:
    """Every call runs in the caller's transaction."""

    async def apply(self, session: ControlSession, batch: Batch) -> bool:
        """Add the batch's counts. Changes nothing and returns False when the batch was added before."""
        if not await repository.insert_batch(session, batch.journal, batch.sequence):
            return False
        await repository.add(session, batch.columns)
        return True

    async def read(self, session: ControlSession, query: UsageQuery) -> list[UsageTotal]:
        """The usage that workers have added so far."""
        return await repository.totals(session, query)
