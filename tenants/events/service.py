"""Numbers a tenant's events behind the commits (docs/decisions/0018-number-events-behind-the-commits.md).

A number that is given in the writer's transaction is either not gap-free, or makes a tenant's writers wait for one
another. Here writers only add rows, and one job takes what is committed and numbers it: no gaps, no number before the
commit, and later commits never get lower numbers than what a reader has seen.
"""

from tenants.database.sessions import Database
from tenants.database.statements import Bound
from tenants.events import repository
from tenants.identifiers import TenantId
from tenants.jobs.repository import deferred, drop_queued

NUMBER_TASK = "events.number"
_BATCH = 2000  # events of one transaction, which must end well within the statement timeout


def number_later(tenant: TenantId) -> Bound:
    """Defers the job that numbers the tenant's events, for the control part of the change's transaction."""
    return deferred(NUMBER_TASK, tenant)


async def number_events(database: Database, tenant: TenantId, batch: int = _BATCH) -> int:
    """Number all events that are committed by now; how many there were.

    First drops the queued jobs of this tenant: the events of those that are visible are visible as well, so that a
    thousand writes take one run. They are gone when the first batch is committed; the rest is the running job's.
    """
    total = 0
    while True:
        async with database.control() as session:
            await drop_queued(session, NUMBER_TASK, tenant)
            numbered = await repository.number(session, tenant, batch)
        total += numbered
        if numbered < batch:
            return total
