"""What billing asks of Stripe, and what it gets back: frozen values, nothing of the SDK."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tenants.errors import ErrorKind, TenantryError, Unavailable
from tenants.identifiers import TenantId


class PaymentsUnavailable(Unavailable):
    """Stripe did not answer, or said that it cannot now."""

    message = "The payment provider does not answer. Try again shortly."
    retry_after = 5


class PaymentsRefused(TenantryError):
    """Stripe understood and refused: our key, our request, or an object that is not there."""

    kind = ErrorKind.UPSTREAM
    code = "payments_refused"
    title = "Payments refused"
    message = "The payment provider refused the request."


@dataclass(frozen=True, slots=True)
class BoughtItem:
    """One price of a subscription, with the period that is paid for."""

    price: str  # price_…
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True)
class BoughtSubscription:
    """A subscription as Stripe has it now."""

    id: str  # sub_…
    customer: str  # cus_…
    status: str  # https://docs.stripe.com/api/subscriptions/object#subscription_object-status
    items: tuple[BoughtItem, ...]
    cancel_at_period_end: bool
    livemode: bool


class Payments(Protocol):
    """Every call has a deadline. Raises PaymentsUnavailable or PaymentsRefused."""

    async def create_customer(self, tenant: TenantId, name: str) -> str:
        """The Stripe customer (cus_…) of a tenant, made once however often this is asked within a day (SI9)."""

    async def subscriptions_of(self, customer: str) -> tuple[BoughtSubscription, ...]:
        """Every subscription that the customer has or had; empty for a customer that Stripe does not know."""

    def living_subscriptions(self) -> AsyncIterator[BoughtSubscription]:
        """Every subscription of the account that has not been canceled."""

    async def close(self) -> None:
        """Give the connections back."""
