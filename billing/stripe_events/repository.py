"""SQL of the control table ``stripe_events``."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from billing.stripe_events.models import StripeEvent
from tenants.database.sessions import ControlSession


async def insert_once(session: ControlSession, values: dict[str, Any]) -> bool:
    """Insert the event; False when it exists. Waits for a concurrent insert of the same event."""
    statement = insert(StripeEvent).values(values).on_conflict_do_nothing(index_elements=[StripeEvent.id])
    return await session.scalar(statement.returning(StripeEvent.id)) is not None


async def find(session: ControlSession, event: str, *, lock: bool = False) -> StripeEvent | None:
    """One event; ``lock`` takes a row lock until the transaction ends."""
    query = select(StripeEvent).where(StripeEvent.id == event)
    return await session.scalar(query.with_for_update() if lock else query)


async def page(
    session: ControlSession, status: str | None, after: StripeEvent | None, count: int
) -> Sequence[StripeEvent]:
    """At most ``count`` events, newest first, following ``after``."""
    query = select(StripeEvent).order_by(StripeEvent.received_at.desc(), StripeEvent.id.desc()).limit(count)
    if status is not None:
        query = query.where(StripeEvent.status == status)
    if after is not None:
        query = query.where(tuple_(StripeEvent.received_at, StripeEvent.id) < (after.received_at, after.id))
    return (await session.scalars(query)).all()


async def begin_attempt(session: ControlSession, event: StripeEvent) -> None:
    """Count an attempt, including one that ends in a crash."""
    await session.execute(
        update(StripeEvent).where(StripeEvent.id == event.id).values(attempts=StripeEvent.attempts + 1)
    )


async def settle(session: ControlSession, event: str, status: str, note: str | None = None) -> None:
    """Store the outcome of the last attempt. An applied event stays applied."""
    done = update(StripeEvent).where(StripeEvent.id == event, StripeEvent.status != "applied")
    applied_at = func.now() if status == "applied" else None
    await session.execute(done.values(status=status, last_error=note, applied_at=applied_at))


async def reopen(session: ControlSession, event: str) -> None:
    """Reset the event's status, so that it is applied again."""
    await session.execute(update(StripeEvent).where(StripeEvent.id == event).values(status="received", applied_at=None))
