"""The operations that billing needs from Stripe: frozen values, no types of the SDK."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tenants.errors import ErrorKind, TenantryError, Unavailable
from tenants.identifiers import TenantId


class PaymentsUnavailable(Unavailable):
    """Stripe did not respond, or responded with a temporary error."""

    message = "The payment provider is unavailable. Try again shortly."
    retry_after = 5


class PaymentsRefused(TenantryError):
    """Stripe rejected the request: our key, our parameters, or a missing object."""

    kind = ErrorKind.UPSTREAM
    code = "payments_refused"
    title = "Payment request rejected"
    message = "The payment provider rejected the request."


@dataclass(frozen=True, slots=True)
class BoughtItem:
    """One price of a subscription, with its current billing period."""

    price: str  # price_…
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True)
class BoughtSubscription:
    """A subscription, as read from Stripe."""

    id: str  # sub_…
    customer: str  # cus_…
    status: str  # https://docs.stripe.com/api/subscriptions/object#subscription_object-status
    items: tuple[BoughtItem, ...]
    cancel_at_period_end: bool
    livemode: bool


class Payments(Protocol):
    """Every call has a deadline. Raises PaymentsUnavailable or PaymentsRefused."""

    async def create_customer(self, tenant: TenantId, name: str) -> str:
        """Create the tenant's Stripe customer (cus_…). Repeated calls within a day return the same one (SI9)."""

    async def subscriptions_of(self, customer: str) -> tuple[BoughtSubscription, ...]:
        """All subscriptions of the customer, ended ones included; empty for a customer that Stripe does not have."""

    def uncanceled_subscriptions(self) -> AsyncIterator[BoughtSubscription]:
        """All subscriptions of the account that are not canceled."""

    async def close(self) -> None:
        """Close the connections."""
