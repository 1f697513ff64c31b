"""``POST /webhooks/stripe``: which events are accepted, and what is durable before the response."""

import json
import time
from dataclasses import replace
from typing import Any

import httpx
import psycopg
import pytest

from gateway.app import compose
from gateway.development.processes import free_port
from gateway.development.stripe.delivery import sign
from gateway.gate.access_log import AccessLog
from gateway.services import build_services
from tests.fixtures.billing import WEBHOOK_SECRET, Shop, ShopFactory, billing_settings, eventually_so
from tests.fixtures.gateways import BASE_URL, GatewayFactory, settings_for
from tests.fixtures.stripe import StripeFactory

pytestmark = pytest.mark.anyio


def _bought(shop: Shop) -> dict[str, Any]:
    shop.buy("pro")
    return shop.events()[-1]


def _counts(shop: Shop) -> tuple[int, int]:
    """Numbers of stored events, and of the jobs that apply them."""
    with psycopg.connect(shop.gateway.urls.owner) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM tenantry.stripe_events),"
            " (SELECT count(*) FROM tenantry.procrastinate_jobs WHERE task_name LIKE 'stripe%')"
        ).fetchone()
    assert row is not None
    return row[0], row[1]


async def test_an_event_changes_the_plan_of_its_customers_tenant(shop: Shop) -> None:
    """SI3, SI8."""
    assert await shop.plan() == "free"
    answer = await shop.deliver(_bought(shop))
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    assert _counts(shop) == (1, 1)
    await shop.work_off()
    assert await shop.plan() == "pro"
    assert await shop.plan(shop.gateway.globex) == "scale"


async def test_a_plan_change_takes_effect_on_every_worker_without_a_restart(
    shop: Shop, gateways: GatewayFactory
) -> None:
    """ID4, TH7: notified by the change itself."""
    async with gateways(**billing_settings(shop.stand_in)) as other:
        assert await shop.plan(gateway=other) == "free"
        await shop.deliver(_bought(shop))
        await shop.work_off()

        async def told() -> bool:
            return await shop.plan(gateway=other) == "pro"

        await eventually_so(told, 5.0, pause=0.1)  # the free plan has ten requests a second


@pytest.mark.parametrize(
    ("secret", "offset"), [("whsec_of_a_forger", 0), (WEBHOOK_SECRET, -310), (WEBHOOK_SECRET, 310)]
)
async def test_forged_old_and_future_events_are_rejected_and_not_stored(shop: Shop, secret: str, offset: int) -> None:
    """SI1."""
    answer = await shop.deliver(_bought(shop), secret=secret, at=time.time() + offset)
    assert (answer.status_code, answer.json()["code"]) == (400, "signature_invalid")
    assert answer.headers["content-type"] == "application/problem+json"
    assert _counts(shop) == (0, 0)


async def test_a_changed_body_and_a_missing_header_are_rejected(shop: Shop) -> None:
    """SI1: the raw body is signed; the same JSON formatted differently is invalid."""
    raw = json.dumps(_bought(shop)).encode()
    header = {"Stripe-Signature": sign(raw, WEBHOOK_SECRET, int(time.time()))}
    client = shop.gateway.client
    for content, headers in ((raw + b" ", header), (raw.replace(b": ", b":"), header), (raw, {})):
        answer = await client.post("/webhooks/stripe", content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "signature_invalid")
    assert _counts(shop) == (0, 0)


async def test_both_secrets_are_accepted_during_a_rotation(shops: ShopFactory) -> None:
    """SI1."""
    async with shops(stripe_webhook_secrets=f"whsec_next,{WEBHOOK_SECRET}") as shop:
        event = _bought(shop)
        assert (await shop.deliver(event)).status_code == 200
        assert (await shop.deliver(event, secret="whsec_next")).status_code == 200


async def test_a_duplicate_gets_the_same_response_and_is_stored_and_applied_once(shop: Shop) -> None:
    """SI4, SI5."""
    event = _bought(shop)
    answers = [await shop.deliver(event) for _ in range(3)]
    assert [each.status_code for each in answers] == [200] * 3
    assert _counts(shop) == (1, 1)
    await shop.work_off()
    assert (await shop.deliver(event)).status_code == 200
    assert _counts(shop) == (1, 0)
    stored = await shop.stored(event["id"])
    assert stored is not None
    assert (stored.status, stored.attempts) == ("applied", 1)


async def test_an_event_of_the_other_mode_is_stored_and_never_applied(shop: Shop) -> None:
    """SI2."""
    event = _bought(shop) | {"livemode": True}
    assert (await shop.deliver(event)).status_code == 200
    assert _counts(shop) == (1, 0)
    await shop.work_off()
    stored = await shop.stored(event["id"])
    assert stored is not None
    assert (stored.status, stored.last_error) == ("ignored", "livemode does not match this deployment")
    assert await shop.plan() == "free"


async def test_an_oversized_body_is_rejected_before_its_signature_is_verified(shop: Shop) -> None:
    """SI1, DA2."""
    answer = await shop.deliver(b" " * (256 * 1024 + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


async def test_a_signed_body_that_is_not_an_event_is_rejected(shop: Shop) -> None:
    """Such as a thin event. The code does not blame the signature, which would send people looking for a secret."""
    answer = await shop.deliver({"id": "evt_1", "object": "v2.core.event"})
    assert (answer.status_code, answer.json()["code"]) == (400, "event_unreadable")
    assert _counts(shop) == (0, 0)


async def test_while_postgresql_is_down_stripe_gets_503_and_retries(shop: Shop) -> None:
    """SI3: no 2xx before the event is durable; a forged event is still 400, without database work."""
    nowhere = f"postgresql://tenantry_gateway:x@127.0.0.1:{free_port()}/nothing"
    event = _bought(shop)
    settings = settings_for(shop.gateway.urls, **billing_settings(shop.stand_in), database_url=nowhere)
    transport = httpx.ASGITransport(compose(build_services(settings), AccessLog()))
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
        down = replace(shop.gateway, client=client)
        answer = await shop.deliver(event, gateway=down)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert (await shop.deliver(event, gateway=down, secret="whsec_of_a_forger")).status_code == 400


async def test_while_stripe_is_down_events_are_stored_and_applied_later(
    shops: ShopFactory, start_stripe: StripeFactory
) -> None:
    """SI5; docs/architecture.md, "When a service is down"."""
    stand_in = start_stripe()
    async with shops(stand_in=stand_in) as shop:
        event = _bought(shop)
        stand_in.stop()
        assert (await shop.deliver(event)).status_code == 200
        await shop.work_off()
        stored = await shop.stored(event["id"])
        assert stored is not None
        assert (stored.status, stored.attempts) == ("failed", 1)
        assert stored.last_error is not None
        assert "PaymentsUnavailable" in stored.last_error
        assert await shop.plan() == "free"
        stand_in.start()

        async def applied() -> bool:
            await shop.work_off()
            found = await shop.stored(event["id"])
            return found is not None and found.status == "applied"

        await eventually_so(applied, 10.0)
        assert await shop.plan() == "pro"


async def test_without_a_stripe_key_the_route_is_not_found(gateways: GatewayFactory) -> None:
    async with gateways() as gateway:
        answer = await gateway.client.post("/webhooks/stripe", content=b"{}")
        assert answer.status_code == 404
