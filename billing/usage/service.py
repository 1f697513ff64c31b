"""Usage added to, batch by batch, and read. Every call runs in the caller's transaction."""

from billing.usage import repository
from billing.usage.batch import Batch
from billing.usage.question import Question
from billing.usage.repository import Summed
from tenants.database.sessions import ControlSession


async def apply(session: ControlSession, batch: Batch) -> bool:
    """Add the batch's counts. False, and nothing is changed, when that batch was added before."""
    if not await repository.insert_batch(session, batch.journal, batch.sequence):
        return False
    await repository.add(session, batch.columns)
    return True


async def read(session: ControlSession, question: Question) -> list[Summed]:
    """What was used, as far as the workers have rolled it up."""
    return await repository.summed(session, question)
