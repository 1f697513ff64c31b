"""The port to Stripe: deadlines, idempotency, and no key in errors."""

import time
from collections.abc import AsyncIterator, Callable

import pytest

from billing.payments.port import PaymentsRefused, PaymentsUnavailable
from billing.payments.stripe_payments import StripePayments
from billing.settings import StripeSettings
from gateway.development.processes import LOOPBACK, free_port
from gateway.development.stripe.server import StripeStandIn
from tenants.identifiers import TenantId, new_id
from tests.fixtures.stripe import STRIPE_KEY, StripeFactory

pytestmark = pytest.mark.anyio

Opener = Callable[..., StripePayments]


@pytest.fixture
async def opened() -> AsyncIterator[Opener]:
    """Opens the port to a Stripe at the given address."""
    ports: list[StripePayments] = []

    def open_port(url: str, key: str = STRIPE_KEY, deadline: float = 2.0) -> StripePayments:
        settings = StripeSettings(key, ("whsec_x",), livemode=False, api_base=url, deadline=deadline)
        ports.append(StripePayments(settings))
        return ports[-1]

    yield open_port
    for each in ports:
        await each.close()


async def test_the_customer_of_a_tenant_is_created_once(opened: Opener, stripe_server: StripeStandIn) -> None:
    """SI9."""
    payments, tenant = opened(stripe_server.url), TenantId(new_id())
    first, again = [await payments.create_customer(tenant, "Acme") for _ in range(2)]
    assert first == again
    assert await payments.create_customer(TenantId(new_id()), "Acme") != first


async def test_an_unknown_customer_has_no_subscriptions(opened: Opener, stripe_server: StripeStandIn) -> None:
    assert await opened(stripe_server.url).subscriptions_of("cus_unknown") == ()


async def test_a_rejection_does_not_reveal_the_key(opened: Opener, stripe_server: StripeStandIn) -> None:
    """SE2."""
    with pytest.raises(PaymentsRefused) as refused:
        await opened(stripe_server.url, "sk_test_of_somebody_else").subscriptions_of("cus_1")
    assert "AuthenticationError 401" in refused.value.detail
    assert "else" not in f"{refused.value} {refused.value.detail} {refused.value.message}"


async def test_a_hanging_stripe_is_unavailable_at_the_deadline(opened: Opener, start_stripe: StripeFactory) -> None:
    """A service that hangs counts as down (docs/architecture.md, "When a service is down")."""
    stand_in = start_stripe()
    stand_in.pause()
    started = time.monotonic()
    with pytest.raises(PaymentsUnavailable):
        await opened(stand_in.url, deadline=0.5).subscriptions_of("cus_1")
    assert time.monotonic() - started < 3.0
    stand_in.resume()


async def test_an_unreachable_stripe_is_unavailable(opened: Opener) -> None:
    with pytest.raises(PaymentsUnavailable):
        await opened(f"http://{LOOPBACK}:{free_port()}").subscriptions_of("cus_1")


async def test_the_proxy_settings_of_the_machine_do_not_apply_to_the_stand_in(
    opened: Opener, stripe_server: StripeStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{LOOPBACK}:{free_port()}")
    assert await opened(stripe_server.url).subscriptions_of("cus_unknown") == ()
