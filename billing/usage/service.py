"""Usage added to, batch by batch, and read. Every call runs in the caller's transaction."""

from datetime import UTC, datetime
from typing import Any

from billing.usage import repository
from billing.usage.counts import Batch, Count, Counted
from billing.usage.question import Question
from billing.usage.repository import Summed
from tenants.database.sessions import ControlSession

_MINUTE = 60  # seconds


async def apply(session: ControlSession, batch: Batch) -> bool:
    """Add the batch's counts. False, and nothing is changed, when that batch was added before."""
    if not await repository.insert_batch(session, batch.journal, batch.sequence):
        return False
    rows = [_row(counted, count) for counted, count in sorted(batch.counts.items(), key=_in_order)]
    await repository.add(session, rows)
    return True


async def read(session: ControlSession, question: Question) -> list[Summed]:
    """What was used, as far as the workers have rolled it up."""
    return await repository.summed(session, question)


def _in_order(item: tuple[Counted, Count]) -> tuple[Any, ...]:
    # By the primary key, the same way in every worker: whoever waits for a row holds none that the other still needs.
    counted = item[0]
    return counted.tenant, counted.minute, counted.principal, counted.route, counted.status_class


def _row(counted: Counted, count: Count) -> dict[str, Any]:
    return {
        "tenant_id": counted.tenant,
        "minute": datetime.fromtimestamp(counted.minute * _MINUTE, UTC),
        "principal_id": counted.principal,
        "route": counted.route,
        "status_class": counted.status_class,
        "kind": counted.kind.value,
        "requests": count.requests,
        "cost": count.cost,
    }
