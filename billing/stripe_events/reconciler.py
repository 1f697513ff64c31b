"""Finds what no event told, and repairs it (SI7): an endpoint that was disabled, a webhook that Stripe gave up."""

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
    """Compares all that Stripe has not canceled with what we last acted on, and reads again where they differ."""

    def __init__(self, database: Database, payments: Payments, applier: EventApplier) -> None:
        self._database = database
        self._payments = payments
        self._applier = applier

    async def run(self) -> list[str]:
        """The customers whose tenants were brought up to date. One that fails does not hold the others."""
        living: dict[str, list[BoughtSubscription]] = defaultdict(list)
        async for each in self._payments.living_subscriptions():
            living[each.customer].append(each)
        repaired = []
        for customer in await self._differing(living):
            try:
                await self._applier.synchronise(customer)
                repaired.append(customer)
            except TenantryError as error:
                _log.warning("not_reconciled", customer=customer, error=error.detail)
        if repaired:
            _log.warning("reconciled", customers=repaired)
        return repaired

    async def _differing(self, living: dict[str, list[BoughtSubscription]]) -> list[str]:
        known: dict[str, list[Subscription]] = defaultdict(list)
        async with self._database.control() as session:
            plans = [plan_of(row) for row in await plans_repository.every(session)]
            owned = await repository.customers(session)
            for row, customer in await repository.with_customers(session):
                known[customer].append(row)
        return sorted(each for each in owned if differs(known[each], living[each], plans))
