"""What becomes of events: whatever their order, number and quality, the tenant ends on what Stripe has."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from billing.payments.port import BoughtItem, BoughtSubscription
from billing.subscriptions import repository
from billing.subscriptions.service import CustomerTaken, Reading, apply_reading, link_customer
from tests.fixtures.billing import Shop, ShopFactory, eventually_so

pytestmark = pytest.mark.anyio


async def _deliver_all(shop: Shop, events: list[dict[str, Any]]) -> None:
    for event in events:
        answer = await shop.deliver(event)
        assert answer.status_code == 200


@pytest.mark.parametrize("seed", range(4))
async def test_any_order_and_number_of_events_ends_on_what_stripe_has(shop: Shop, seed: int) -> None:
    """SI4."""
    bought = shop.buy("pro")
    shop.switch(bought, "scale")
    shop.client.v1.subscriptions.cancel(shop.buy("scale").id)
    shop.switch(bought, "pro")
    events = shop.events() * 2
    random.Random(seed).shuffle(events)  # noqa: S311 - an order, no secret
    for event in events:
        await shop.deliver(event)
        await shop.work_off()
    assert await shop.plan() == "pro"


async def test_events_applied_at_once_end_on_what_stripe_has(shop: Shop) -> None:
    """SI4: several jobs of one customer at a time."""
    bought = shop.buy("pro")
    for _ in range(5):
        shop.switch(bought, "scale")
        shop.switch(bought, "pro")
    await _deliver_all(shop, shop.events())
    await asyncio.gather(shop.work_off(), shop.work_off())
    assert await shop.plan() == "pro"


async def test_a_canceled_subscription_leads_back_to_the_default_plan(shop: Shop) -> None:
    """SI10: at the end, not when the end is announced."""
    bought = shop.buy("scale")
    shop.client.v1.subscriptions.update(bought.id, {"cancel_at_period_end": True})
    await _deliver_all(shop, shop.events())
    await shop.work_off()
    assert await shop.plan() == "scale"
    shop.client.v1.subscriptions.cancel(bought.id)
    await _deliver_all(shop, shop.events()[-1:])
    await shop.work_off()
    assert await shop.plan() == "free"


async def test_a_deleted_customer_is_back_on_the_default_plan(shop: Shop) -> None:
    shop.buy("pro")
    await _deliver_all(shop, shop.events())
    await shop.work_off()
    shop.client.v1.customers.delete(shop.customer)
    await _deliver_all(shop, shop.events()[-1:])
    await shop.work_off()
    assert await shop.plan() == "free"


async def test_a_payment_that_is_pending_changes_nothing(shop: Shop) -> None:
    shop.buy("pro", payment_behavior="default_incomplete")
    await _deliver_all(shop, shop.events())
    await shop.work_off()
    assert await shop.plan() == "free"


async def test_a_plan_that_an_operator_gave_stays_until_stripe_says_something_new(shop: Shop) -> None:
    bought = shop.buy("pro")
    await _deliver_all(shop, shop.events())
    await shop.work_off()
    gateway = shop.gateway
    async with gateway.services.database.control() as session:
        await gateway.services.identity.directory.change_plan(session, gateway.acme.ref.id, "scale")
    shop.client.v1.subscriptions.update(bought.id, {"metadata": {"note": "no new plan"}})
    await _deliver_all(shop, shop.events()[-1:])
    await shop.work_off()
    assert await shop.plan() == "scale"
    assert await shop.reconcile() == []
    shop.client.v1.subscriptions.cancel(bought.id)
    await _deliver_all(shop, shop.events()[-1:])
    await shop.work_off()
    assert await shop.plan() == "free"


async def test_an_unknown_customers_event_is_recorded_as_ignored(shop: Shop) -> None:
    """SI8: what the buyer wrote into it does not lead to a tenant."""
    stranger = shop.client.v1.customers.create({"metadata": {"tenant": str(shop.gateway.acme.ref.id)}}).id
    shop.buy("scale", stranger, metadata={"tenant": "acme", "customer": shop.customer})
    (event,) = shop.events(stranger)
    await shop.deliver(event)
    await shop.work_off()
    stored = await shop.stored(event["id"])
    assert stored is not None
    assert (stored.status, stored.last_error) == ("ignored", "no tenant owns its customer")
    assert await shop.plan() == "free"


async def test_a_stripe_customer_has_one_tenant_for_ever(shop: Shop) -> None:
    """SI8."""
    gateway = shop.gateway
    for tenant, customer in ((gateway.globex, shop.customer), (gateway.acme, "cus_another")):
        with pytest.raises(CustomerTaken):
            async with gateway.services.database.control() as session:
                await link_customer(session, tenant.ref.id, customer)


async def test_a_poisoned_event_holds_no_other_is_seen_and_can_be_replayed(shop: Shop) -> None:
    """SI6."""
    bought = shop.buy("pro")
    shop.switch(bought, "scale")
    poisoned, good = shop.events()
    await _deliver_all(shop, [poisoned, good])
    payload = _exchange_payload(shop, poisoned["id"], b"spoilt")
    await shop.work_off()
    assert await shop.plan() == "scale"
    headers, client = shop.gateway.operator, shop.gateway.client
    failed = (await client.get("/operator/v1/events?status=failed", headers=headers)).json()["data"]
    assert [(each["id"], each["attempts"]) for each in failed] == [(poisoned["id"], 1)]
    assert "EventUnreadable" in failed[0]["last_error"]
    _exchange_payload(shop, poisoned["id"], payload)
    answer = await client.post(f"/operator/v1/events/{poisoned['id']}/replay", headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (200, "received")
    await shop.work_off()
    stored = await shop.stored(poisoned["id"])
    assert stored is not None
    assert (stored.status, stored.last_error) == ("applied", None)


async def test_a_failing_job_is_tried_again_with_back_off_and_then_given_up(shops: ShopFactory) -> None:
    """SI6."""
    async with shops() as shop:
        shop.buy("pro")
        (event,) = shop.events()
        await shop.deliver(event)
        async with shop.job_app(api_base="http://127.0.0.1:9") as app:

            async def given_up() -> bool:
                await app.run_worker_async(wait=False)
                return _failed_jobs(shop) == 1

            await eventually_so(given_up, 20.0)
        stored = await shop.stored(event["id"])
        assert stored is not None
        assert (stored.status, stored.attempts) == ("failed", 3)


async def test_the_reconciler_repairs_what_no_event_told(shop: Shop) -> None:
    """SI7."""
    bought = shop.buy("pro")
    assert await shop.reconcile() == [shop.customer]
    assert await shop.plan() == "pro"
    assert await shop.reconcile() == []
    shop.client.v1.subscriptions.cancel(bought.id)
    assert await shop.reconcile() == [shop.customer]
    assert await shop.plan() == "free"
    assert await shop.reconcile() == []


async def test_the_reconciler_sees_beyond_the_first_page(shop: Shop) -> None:
    """SI7: one page holds a hundred."""
    shop.buy("pro")
    stranger = shop.client.v1.customers.create().id
    for _ in range(101):
        shop.buy("pro", stranger)
    assert await shop.reconcile() == [shop.customer]


async def test_a_reading_that_began_earlier_never_undoes_a_later_one(shop: Shop) -> None:
    """SI4: two jobs read Stripe at once, and the one that saw the old state commits last."""
    database = shop.gateway.services.database
    async with database.control() as session:
        begun = await repository.clock(session)
    early = Reading(shop.customer, (_bought(shop, "pro", "active"),), begun)
    late = Reading(shop.customer, (_bought(shop, "pro", "canceled"),), begun + timedelta(milliseconds=1))
    for reading in (late, early, replace(early, read_at=begun - timedelta(seconds=1))):
        async with database.control() as session:
            assert await apply_reading(session, reading) == shop.gateway.acme.ref.id
    assert await shop.plan() == "free"


async def test_a_subscription_that_stripe_no_longer_has_counts_as_canceled(shop: Shop) -> None:
    database = shop.gateway.services.database
    async with database.control() as session:
        begun = await repository.clock(session)
        await apply_reading(session, Reading(shop.customer, (_bought(shop, "pro", "active"),), begun))
    assert await shop.plan() == "pro"
    async with database.control() as session:
        await apply_reading(session, Reading(shop.customer, (), begun + timedelta(seconds=1)))
    assert await shop.plan() == "free"


def _bought(shop: Shop, plan: str, status: str) -> BoughtSubscription:
    item = BoughtItem(shop.prices[plan], datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    return BoughtSubscription("sub_1", shop.customer, status, (item,), cancel_at_period_end=False, livemode=False)


def _exchange_payload(shop: Shop, event: str, payload: bytes) -> bytes:
    with psycopg.connect(shop.gateway.urls.owner) as connection:
        row = connection.execute(
            "UPDATE tenantry.stripe_events new SET payload = %s FROM tenantry.stripe_events old"
            " WHERE new.id = %s AND old.id = new.id RETURNING old.payload",
            (payload, event),
        ).fetchone()
    assert row is not None
    return bytes(row[0])


def _failed_jobs(shop: Shop) -> int:
    with psycopg.connect(shop.gateway.urls.owner) as connection:
        row = connection.execute("SELECT count(*) FROM tenantry.procrastinate_jobs WHERE status = 'failed'").fetchone()
    assert row is not None
    return int(row[0])
