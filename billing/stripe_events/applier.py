"""Applies an event by reading the current state from Stripe; contents and order of events are not trusted (SI4).

Stripe is called between two transactions, so that no transaction waits for it. After a crash at any point the job runs
again, and each transaction is complete or absent (SI5).
"""

import structlog

from billing.payments.port import Payments
from billing.settings import StripeSettings
from billing.stripe_events import repository
from billing.stripe_events.event import ReceivedEvent, read_event, reason_to_ignore
from billing.subscriptions import repository as subscriptions_repository
from billing.subscriptions.service import Snapshot, Subscriptions
from tenants.audit.origin import Origin
from tenants.database.sessions import Database
from tenants.errors import TenantryError
from tenants.identifiers import TenantId
from tenants.principal import Actor, ActorKind

_UNKNOWN_CUSTOMER = "no tenant has this customer"
_LONGEST_NOTE = 500
_STRIPE = Actor(ActorKind.STRIPE)

_log = structlog.get_logger(__name__)


class EventApplier:
    """Opens its own transactions, since Stripe is read between two of them. One per worker process."""

    def __init__(
        self, database: Database, payments: Payments, subscriptions: Subscriptions, settings: StripeSettings
    ) -> None:
        self._database = database
        self._payments = payments
        self._subscriptions = subscriptions
        self._settings = settings

    async def apply(self, event_id: str) -> None:
        """Synchronise the tenant of the event's customer with Stripe. Does nothing for a settled event.

        A failure is stored with the event and raised, so that the job is retried.
        """
        try:
            payload = await self._begin(event_id)
            if payload is not None:
                await self._apply(read_event(payload))
        except Exception as error:
            await self._store_failure(event_id, error)
            raise

    async def synchronise(self, customer: str) -> TenantId | None:
        """Synchronise the customer's tenant with Stripe. None when no tenant has this customer."""
        async with self._database.control() as session:
            read_at = await subscriptions_repository.clock(session)
        snapshot = Snapshot(customer, await self._payments.subscriptions_of(customer), read_at)
        async with self._database.control() as session:
            return await self._subscriptions.apply(session, snapshot, origin=Origin(_STRIPE))

    async def _begin(self, event_id: str) -> bytes | None:
        """Count the attempt and commit before anything can fail. None when the event is settled."""
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
        snapshot = Snapshot(event.customer, await self._payments.subscriptions_of(event.customer), read_at)
        async with self._database.control() as session:
            tenant = await self._subscriptions.apply(session, snapshot, origin=Origin(_STRIPE, event.id))
            status, note = ("ignored", _UNKNOWN_CUSTOMER) if tenant is None else ("applied", None)
            await repository.settle(session, event.id, status, note)

    async def _store_failure(self, event_id: str, error: Exception) -> None:
        note = _description(error)
        _log.warning("stripe_event_failed", event_id=event_id, error=note)
        try:
            async with self._database.control() as session:
                await repository.settle(session, event_id, "failed", note)
        except TenantryError as storing_failed:  # the database failed, not the event; the job is retried
            _log.warning("stripe_event_failure_not_stored", event_id=event_id, error=storing_failed.detail)


def _description(error: Exception) -> str:
    # Only the first line of a database error: the following lines contain the statement and its values.
    detail = error.detail if isinstance(error, TenantryError) else str(error).partition("\n")[0]
    return f"{type(error).__name__}: {detail}"[:_LONGEST_NOTE]
