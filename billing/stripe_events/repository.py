"""SQL of the control table ``stripe_events``."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from billing.stripe_events.models import StripeEvent
from tenants.database.sessions import ControlSession


async def insert_once(session: ControlSession, values: dict[str, Any]) -> bool:
    """Keep the event under its id; False when it is there already. Waits for one that is just being written."""
    statement = insert(StripeEvent).values(values).on_conflict_do_nothing(index_elements=[StripeEvent.id])
    return await session.scalar(statement.returning(StripeEvent.id)) is not None


async def find(session: ControlSession, event: str, *, lock: bool = False) -> StripeEvent | None:
    """One event; with ``lock`` nobody else changes it until the transaction ends."""
    query = select(StripeEvent).where(StripeEvent.id == event)
    return await session.scalar(query.with_for_update() if lock else query)


async def page(
    session: ControlSession, status: str | None, after: StripeEvent | None, count: int
) -> Sequence[StripeEvent]:
    """At most ``count`` events, the last received first, after the one given."""
    query = select(StripeEvent).order_by(StripeEvent.received_at.desc(), StripeEvent.id.desc()).limit(count)
    if status is not None:
        query = query.where(StripeEvent.status == status)
    if after is not None:
        query = query.where(tuple_(StripeEvent.received_at, StripeEvent.id) < (after.received_at, after.id))
    return (await session.scalars(query)).all()


async def begin_attempt(session: ControlSession, event: StripeEvent) -> None:
    """Count an attempt, so that one which ends in a crash is seen too."""
    await session.execute(
        update(StripeEvent).where(StripeEvent.id == event.id).values(attempts=StripeEvent.attempts + 1)
    )


async def settle(session: ControlSession, event: str, status: str, note: str | None = None) -> None:
    """Write how the last attempt ended. An event that was applied stays so."""
    done = update(StripeEvent).where(StripeEvent.id == event, StripeEvent.status != "applied")
    applied_at = func.now() if status == "applied" else None
    await session.execute(done.values(status=status, last_error=note, applied_at=applied_at))


async def reopen(session: ControlSession, event: str) -> None:
    """Let an event be applied again, whatever became of it."""
    await session.execute(update(StripeEvent).where(StripeEvent.id == event).values(status="received", applied_at=None))
