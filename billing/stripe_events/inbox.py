"""Receives Stripe events: verified, stored once, and applied by a job (docs/decisions/0008)."""

import time
from collections.abc import Callable, Sequence

from billing.settings import StripeSettings
from billing.stripe_events import repository
from billing.stripe_events.event import ReceivedEvent, read_event, reason_to_ignore
from billing.stripe_events.models import StripeEvent
from billing.stripe_events.signature import verify
from tenants.database.sessions import ControlSession, Database
from tenants.errors import NotFound
from tenants.jobs.queue import JobQueue

APPLY_TASK = "stripe_events.apply"


class StripeInbox:
    """``receive`` serves Stripe; the other calls serve operators and run in the caller's transaction."""

    def __init__(
        self, database: Database, queue: JobQueue, settings: StripeSettings, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._queue = queue
        self._settings = settings
        self._clock = clock

    async def receive(self, raw: bytes, header: str | None) -> None:
        """Store the event and its job in one transaction, then return. A duplicate changes nothing (SI3, SI5).

        ``raw`` is the unparsed body, ``header`` its ``Stripe-Signature``. Raises SignatureInvalid or EventUnreadable
        before any database work, and Unavailable when the event cannot be stored: Stripe then sends it again.
        """
        verify(raw, header, self._settings.webhook_secrets, self._clock())
        event = read_event(raw)
        ignored = reason_to_ignore(event, self._settings)
        async with self._database.control() as session:
            new = await repository.insert_once(session, _values(event, raw, ignored))
            if new and ignored is None:
                await self._queue.enqueue(session, APPLY_TASK, event_id=event.id)

    async def read(self, session: ControlSession, event: str) -> StripeEvent:
        """One event. Raises NotFound."""
        found = await repository.find(session, event)
        if found is None:
            raise NotFound(detail="no such event")
        return found

    async def page(
        self, session: ControlSession, status: str | None, after: StripeEvent | None, count: int
    ) -> Sequence[StripeEvent]:
        """At most ``count`` events, newest first."""
        return await repository.page(session, status, after, count)

    async def replay(self, session: ControlSession, event: str) -> StripeEvent:
        """Apply an event again, whatever its status (SI6). Raises NotFound."""
        found = await repository.find(session, event, lock=True)
        if found is None:
            raise NotFound(detail="no such event")
        await repository.reopen(session, event)
        await self._queue.enqueue(session, APPLY_TASK, event_id=event)
        await session.refresh(found)
        return found


def _values(event: ReceivedEvent, raw: bytes, ignored: str | None) -> dict[str, object]:
    return {
        "id": event.id,
        "type": event.type,
        "account": event.account,
        "livemode": event.livemode,
        "created": event.created,
        "payload": raw,
        "status": "received" if ignored is None else "ignored",
        "last_error": ignored,
    }
