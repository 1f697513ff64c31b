"""The port over Stripe's official SDK."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import stripe
from stripe import StripeClient
from stripe.params import SubscriptionListParams

from billing.payments.http import BoundedHttpClient
from billing.payments.port import BoughtItem, BoughtSubscription, PaymentsRefused, PaymentsUnavailable
from billing.settings import StripeSettings
from tenants.identifiers import TENANT, TenantId, show

_PAGE = 100  # https://docs.stripe.com/api/pagination: the most that one page holds
_PASSING = (stripe.APIConnectionError, stripe.RateLimitError, TimeoutError)
_FIRST_FAULT_OF_THEIRS = 500


class StripePayments:
    """One per process. Safe for any number of concurrent calls."""

    def __init__(self, settings: StripeSettings) -> None:
        self._deadline = settings.deadline
        self._http = BoundedHttpClient(settings.api_base, settings.deadline)
        self._client = StripeClient(
            settings.api_key,
            base_addresses={"api": settings.api_base},
            stripe_account=settings.account,
            max_network_retries=0,  # whoever asks is a job that is retried as a whole
            http_client=self._http,
        )

    async def create_customer(self, tenant: TenantId, name: str) -> str:
        """The Stripe customer of a tenant, made once however often this is asked within a day (SI9).

        Its metadata names the tenant for people who look at Stripe; nothing of ours reads it (SI8).
        """
        shown = show(TENANT, tenant)
        async with self._asking():
            made = await self._client.v1.customers.create_async(
                {"name": name, "metadata": {"tenant": shown}}, {"idempotency_key": f"customer-of-{shown}"}
            )
        return made.id

    async def subscriptions_of(self, customer: str) -> tuple[BoughtSubscription, ...]:
        """Every subscription that the customer has or had; empty for a customer that Stripe does not know."""
        try:
            return tuple([each async for each in self._pages({"customer": customer, "status": "all", "limit": _PAGE})])
        except PaymentsRefused as refusal:
            cause = refusal.__cause__
            if isinstance(cause, stripe.InvalidRequestError) and cause.code == "resource_missing":
                return ()
            raise

    async def living_subscriptions(self) -> AsyncIterator[BoughtSubscription]:
        """Every subscription of the account that has not been canceled, by pages; the deadline holds for each page."""
        async for each in self._pages({"limit": _PAGE}):
            yield each

    async def close(self) -> None:
        await self._http.close_async()

    async def _pages(self, wanted: SubscriptionListParams) -> AsyncIterator[BoughtSubscription]:
        while True:
            async with self._asking():
                page = await self._client.v1.subscriptions.list_async(wanted)
            for each in page.data:
                yield bought(each)
            if not page.has_more:
                return
            wanted = {**wanted, "starting_after": page.data[-1].id}

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """Within the deadline, and in our own errors. Stripe's message may hold a key's end: only its kind is kept."""
        try:
            async with asyncio.timeout(self._deadline):
                yield
        except _PASSING as error:
            raise PaymentsUnavailable(detail=f"Stripe: {type(error).__name__}") from error
        except stripe.StripeError as error:
            detail = f"Stripe: {type(error).__name__} {error.http_status} {error.code or ''}".rstrip()
            if (error.http_status or _FIRST_FAULT_OF_THEIRS) >= _FIRST_FAULT_OF_THEIRS:
                raise PaymentsUnavailable(detail=detail) from error
            raise PaymentsRefused(detail=detail) from error


def bought(subscription: stripe.Subscription) -> BoughtSubscription:
    """Our value of the SDK's object."""
    customer = subscription.customer
    return BoughtSubscription(
        id=subscription.id,
        customer=customer if isinstance(customer, str) else customer.id,
        status=subscription.status,
        items=tuple(_item(each) for each in subscription["items"].data),
        cancel_at_period_end=subscription.cancel_at_period_end,
        livemode=subscription.livemode,
    )


def _item(item: stripe.SubscriptionItem) -> BoughtItem:
    return BoughtItem(
        price=item.price.id,
        period_start=datetime.fromtimestamp(item.current_period_start, UTC),
        period_end=datetime.fromtimestamp(item.current_period_end, UTC),
    )
