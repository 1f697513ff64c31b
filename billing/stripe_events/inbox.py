"""Receives Stripe events: verified, stored once, and applied by a job (docs/decisions/0008)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from billing.settings import StripeSettings
from billing.stripe_events import repository
from billing.stripe_events.event import ReceivedEvent, read_event, reason_to_ignore
from billing.stripe_events.models import StripeEvent
from billing.stripe_events.signature import verify
from tenants.database.sessions import ControlSession
from tenants.errors import NotFound
from tenants.jobs.queue import JobQueue

APPLY_TASK = "stripe_events.apply"


@dataclass(frozen=True, slots=True)
class SignedEvent:
    """An event with a valid signature, and the bytes that were signed."""

    event: ReceivedEvent
    raw: bytes


class StripeInbox:
    """``verify`` needs no database; the other calls run in the caller's transaction."""

    def __init__(self, queue: JobQueue, settings: StripeSettings, clock: Callable[[], float] = time.time) -> None:
        self._queue = queue
        self._settings = settings
        self._clock = clock

    def verify(self, raw: bytes, header: str | None) -> SignedEvent:
        """The event in a request: ``raw`` is the unparsed body, ``header`` its ``Stripe-Signature``.

        Raises SignatureInvalid or EventUnreadable.
        """
        verify(raw, header, self._settings.webhook_secrets, self._clock())
        return SignedEvent(read_event(raw), raw)

    async def store(self, session: ControlSession, signed: SignedEvent) -> None:
        """Store the event and its job. A duplicate changes nothing (SI3, SI5).

        When this or the commit fails, the request is answered 503 and Stripe sends the event again.
        """
        ignored = reason_to_ignore(signed.event, self._settings)
        new = await repository.insert_once(session, _values(signed, ignored))
        if new and ignored is None:
            await self._queue.enqueue(session, APPLY_TASK, event_id=signed.event.id)

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


def _values(signed: SignedEvent, ignored: str | None) -> dict[str, object]:
    event = signed.event
    return {
        "id": event.id,
        "type": event.type,
        "account": event.account,
        "livemode": event.livemode,
        "created": event.created,
        "payload": signed.raw,
        "status": "received" if ignored is None else "ignored",
        "last_error": ignored,
    }
