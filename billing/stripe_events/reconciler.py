"""Repairs what lost events would have changed (SI7), for example after the endpoint was disabled at Stripe."""

from collections import defaultdict

import structlog

from billing.payments.port import BoughtSubscription, Payments
from billing.plans import repository as plans_repository
from billing.plans.plan import plan_of
from billing.stripe_events.applier import EventApplier
from billing.subscriptions import repository
from billing.subscriptions.models import Subscription
from billing.subscriptions.service import differs
from tenants.database.sessions import Database
from tenants.errors import TenantryError

_log = structlog.get_logger(__name__)


class Reconciler:
    """Compares uncanceled subscriptions at Stripe with those last applied, and synchronises customers that differ."""

    def __init__(self, database: Database, payments: Payments, applier: EventApplier) -> None:
        self._database = database
        self._payments = payments
        self._applier = applier

    async def run(self) -> list[str]:
        """Returns the customers that were synchronised. A failure of one does not stop the others."""
        current: dict[str, list[BoughtSubscription]] = defaultdict(list)
        async for each in self._payments.uncanceled_subscriptions():
            current[each.customer].append(each)
        synchronised = []
        for customer in await self._differing(current):
            try:
                await self._applier.synchronise(customer)
                synchronised.append(customer)
            except TenantryError as error:
                _log.warning("not_reconciled", customer=customer, error=error.detail)
        if synchronised:
            _log.warning("reconciled", customers=synchronised)
        return synchronised

    async def _differing(self, current: dict[str, list[BoughtSubscription]]) -> list[str]:
        known: dict[str, list[Subscription]] = defaultdict(list)
        async with self._database.control() as session:
            plans = [plan_of(row) for row in await plans_repository.every(session)]
            owned = await repository.customers(session)
            for row, customer in await repository.with_customers(session):
                known[customer].append(row)
        return sorted(each for each in owned if differs(known[each], current[each], plans))
