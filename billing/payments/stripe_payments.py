"""The payments port, implemented with Stripe's official SDK."""

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

_PAGE = 100  # https://docs.stripe.com/api/pagination: the maximum
_TEMPORARY = (stripe.APIConnectionError, stripe.RateLimitError, TimeoutError)
_SERVER_ERROR = 500


class StripePayments:
    """One per process. Safe for concurrent calls."""

    def __init__(self, settings: StripeSettings) -> None:
        self._deadline = settings.deadline
        self._http = BoundedHttpClient(settings.api_base, settings.deadline)
        self._client = StripeClient(
            settings.api_key,
            base_addresses={"api": settings.api_base},
            stripe_account=settings.account,
            max_network_retries=0,  # the caller is a job, which is retried as a whole
            http_client=self._http,
        )

    async def create_customer(self, tenant: TenantId, name: str) -> str:
        """Create the tenant's Stripe customer. Repeated calls within a day return the same one (SI9).

        Its metadata names the tenant for people reading Stripe's dashboard; our code never reads it (SI8).
        """
        tenant_id = show(TENANT, tenant)
        async with self._deadline_and_errors():
            customer = await self._client.v1.customers.create_async(
                {"name": name, "metadata": {"tenant": tenant_id}}, {"idempotency_key": f"customer-of-{tenant_id}"}
            )
        return customer.id

    async def subscriptions_of(self, customer: str) -> tuple[BoughtSubscription, ...]:
        """All subscriptions of the customer, ended ones included; empty for a customer that Stripe does not have."""
        try:
            return tuple([each async for each in self._pages({"customer": customer, "status": "all", "limit": _PAGE})])
        except PaymentsRefused as refusal:
            cause = refusal.__cause__
            if isinstance(cause, stripe.InvalidRequestError) and cause.code == "resource_missing":
                return ()
            raise

    async def uncanceled_subscriptions(self) -> AsyncIterator[BoughtSubscription]:
        """All subscriptions of the account that are not canceled, page by page; the deadline applies to each page."""
        async for each in self._pages({"limit": _PAGE}):
            yield each

    async def close(self) -> None:
        await self._http.close_async()

    async def _pages(self, parameters: SubscriptionListParams) -> AsyncIterator[BoughtSubscription]:
        while True:
            async with self._deadline_and_errors():
                page = await self._client.v1.subscriptions.list_async(parameters)
            for each in page.data:
                yield bought(each)
            if not page.has_more:
                return
            parameters = {**parameters, "starting_after": page.data[-1].id}

    @asynccontextmanager
    async def _deadline_and_errors(self) -> AsyncIterator[None]:
        """Apply the deadline, translate errors. Only an error's type is kept: its message can contain part of a key."""
        try:
            async with asyncio.timeout(self._deadline):
                yield
        except _TEMPORARY as error:
            raise PaymentsUnavailable(detail=f"Stripe: {type(error).__name__}") from error
        except stripe.StripeError as error:
            detail = f"Stripe: {type(error).__name__} {error.http_status} {error.code or ''}".rstrip()
            if (error.http_status or _SERVER_ERROR) >= _SERVER_ERROR:
                raise PaymentsUnavailable(detail=detail) from error
            raise PaymentsRefused(detail=detail) from error


def bought(subscription: stripe.Subscription) -> BoughtSubscription:
    """Convert the SDK's object."""
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
