"""Applies what Stripe has now, on the occasion of an event: never what the event says, and never by its order (SI4).

Between two transactions of ours Stripe is read, so that no transaction waits for it. Killed anywhere, nothing is half
done: what one transaction did is whole, and the job is done again (SI5).
"""

import structlog

from billing.payments.port import Payments
from billing.settings import StripeSettings
from billing.stripe_events import repository
from billing.stripe_events.event import ReceivedEvent, read_event, reason_to_ignore
from billing.subscriptions import repository as subscriptions_repository
from billing.subscriptions.service import Reading, apply_reading
from tenants.database.sessions import Database
from tenants.errors import TenantryError
from tenants.identifiers import TenantId

_UNKNOWN_CUSTOMER = "no tenant owns its customer"
_LONGEST_NOTE = 500

_log = structlog.get_logger(__name__)


class EventApplier:
    """One per worker process."""

    def __init__(self, database: Database, payments: Payments, settings: StripeSettings) -> None:
        self._database = database
        self._payments = payments
        self._settings = settings

    async def apply(self, event_id: str) -> None:
        """Bring the tenant of the event's customer to what Stripe has now; an event that is settled is left alone.

        Every failure is written beside the event and raised, so that the job is tried again.
        """
        try:
            payload = await self._begin(event_id)
            if payload is not None:
                await self._apply(read_event(payload))
        except Exception as error:
            await self._note_failure(event_id, error)
            raise

    async def synchronise(self, customer: str) -> TenantId | None:
        """Bring the customer's tenant to what Stripe has now. None when no tenant owns the customer."""
        async with self._database.control() as session:
            read_at = await subscriptions_repository.clock(session)
        reading = Reading(customer, await self._payments.subscriptions_of(customer), read_at)
        async with self._database.control() as session:
            return await apply_reading(session, reading)

    async def _begin(self, event_id: str) -> bytes | None:
        """Count the attempt, committed before anything can go wrong with it; None when the event is settled."""
        async with self._database.control() as session:
            stored = await repository.find(session, event_id, lock=True)
            if stored is None or stored.status in {"applied", "ignored"}:
                return None
            await repository.begin_attempt(session, stored)
            return stored.payload

    async def _apply(self, event: ReceivedEvent) -> None:
        async with self._database.control() as session:
            read_at = await subscriptions_repository.clock(session)
            ignored = reason_to_ignore(event, self._settings)
            if ignored is None and await subscriptions_repository.owner_of(session, event.customer or "") is None:
                ignored = _UNKNOWN_CUSTOMER
            if ignored is not None or event.customer is None:
                await repository.settle(session, event.id, "ignored", ignored)
                return
        reading = Reading(event.customer, await self._payments.subscriptions_of(event.customer), read_at)
        async with self._database.control() as session:
            tenant = await apply_reading(session, reading)
            status, note = ("ignored", _UNKNOWN_CUSTOMER) if tenant is None else ("applied", None)
            await repository.settle(session, event.id, status, note)

    async def _note_failure(self, event_id: str, error: Exception) -> None:
        note = _described(error)
        _log.warning("stripe_event_failed", event_id=event_id, error=note)
        try:
            async with self._database.control() as session:
                await repository.settle(session, event_id, "failed", note)
        except TenantryError as also:  # the database is what failed; the job's own retry will tell
            _log.warning("stripe_event_failure_not_noted", event_id=event_id, error=also.detail)


def _described(error: Exception) -> str:
    # Of a database error the first line only: the next ones hold the statement and its values.
    detail = error.detail if isinstance(error, TenantryError) else str(error).partition("\n")[0]
    return f"{type(error).__name__}: {detail}"[:_LONGEST_NOTE]
