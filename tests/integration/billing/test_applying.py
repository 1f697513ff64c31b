"""Applying events: in any order and number, the tenant ends on the plan that Stripe's subscriptions give."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from billing.payments.port import BoughtItem, BoughtSubscription
from billing.subscriptions import repository
from billing.subscriptions.service import CustomerLinked, CustomerTaken, Snapshot
from tenants.audit.origin import SYSTEM
from tenants.errors import Conflict
from tests.fixtures.billing import Shop, ShopFactory, eventually_so
from tests.fixtures.gateways import SeededTenant

pytestmark = pytest.mark.anyio


async def _deliver_all(shop: Shop, events: list[dict[str, Any]]) -> None:
    for event in events:
        answer = await shop.deliver(event)
        assert answer.status_code == 200


@pytest.mark.parametrize("seed", range(4))
async def test_any_order_and_number_of_events_results_in_the_state_at_stripe(shop: Shop, seed: int) -> None:
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


async def test_events_applied_concurrently_result_in_the_state_at_stripe(shop: Shop) -> None:
    """SI4: several concurrent jobs of one customer."""
    bought = shop.buy("pro")
    for _ in range(5):
        shop.switch(bought, "scale")
        shop.switch(bought, "pro")
    await _deliver_all(shop, shop.events())
    await asyncio.gather(shop.work_off(), shop.work_off())
    assert await shop.plan() == "pro"


async def test_a_canceled_subscription_returns_the_tenant_to_the_default_plan(shop: Shop) -> None:
    """SI10: at the end of the period, not when the cancellation is scheduled."""
    bought = shop.buy("scale")
    shop.client.v1.subscriptions.update(bought.id, {"cancel_at_period_end": True})
    await _deliver_all(shop, shop.events())
    await shop.work_off()
    assert await shop.plan() == "scale"
    shop.client.v1.subscriptions.cancel(bought.id)
    await _deliver_all(shop, shop.events()[-1:])
    await shop.work_off()
    assert await shop.plan() == "free"


async def test_a_deleted_customer_returns_the_tenant_to_the_default_plan(shop: Shop) -> None:
    shop.buy("pro")
    await _deliver_all(shop, shop.events())
    await shop.work_off()
    shop.client.v1.customers.delete(shop.customer)
    await _deliver_all(shop, shop.events()[-1:])
    await shop.work_off()
    assert await shop.plan() == "free"


async def test_a_pending_payment_changes_nothing(shop: Shop) -> None:
    shop.buy("pro", payment_behavior="default_incomplete")
    await _deliver_all(shop, shop.events())
    await shop.work_off()
    assert await shop.plan() == "free"


async def test_a_plan_set_by_an_operator_stays_until_something_changes_at_stripe(shop: Shop) -> None:
    bought = shop.buy("pro")
    await _deliver_all(shop, shop.events())
    await shop.work_off()
    gateway = shop.gateway
    async with gateway.services.database.control() as session:
        await gateway.services.features.directory.change_plan(session, gateway.acme.ref.id, "scale", origin=SYSTEM)
    shop.client.v1.subscriptions.update(bought.id, {"metadata": {"note": "no new plan"}})
    await _deliver_all(shop, shop.events()[-1:])
    await shop.work_off()
    assert await shop.plan() == "scale"
    assert await shop.reconcile() == []
    shop.client.v1.subscriptions.cancel(bought.id)
    await _deliver_all(shop, shop.events()[-1:])
    await shop.work_off()
    assert await shop.plan() == "free"


async def test_an_event_of_an_unknown_customer_is_stored_as_ignored(shop: Shop) -> None:
    """SI8: metadata written by the buyer never selects a tenant."""
    stranger = shop.client.v1.customers.create({"metadata": {"tenant": str(shop.gateway.acme.ref.id)}}).id
    shop.buy("scale", stranger, metadata={"tenant": "acme", "customer": shop.customer})
    (event,) = shop.events(stranger)
    await shop.deliver(event)
    await shop.work_off()
    stored = await shop.stored(event["id"])
    assert stored is not None
    assert (stored.status, stored.last_error) == ("ignored", "no tenant has this customer")
    assert await shop.plan() == "free"


async def test_a_stripe_customer_belongs_to_one_tenant_for_good(shop: Shop) -> None:
    """SI8."""
    gateway = shop.gateway
    second: list[tuple[SeededTenant, str, type[Conflict], list[str]]] = [
        (gateway.globex, shop.customer, CustomerTaken, ["/stripe_customer"]),
        (gateway.acme, "cus_another", CustomerLinked, []),
    ]
    for tenant, customer, refusal, pointers in second:
        with pytest.raises(refusal) as raised:
            async with gateway.services.database.control() as session:
                await gateway.services.features.subscriptions.link_customer(
                    session, tenant.ref.id, customer, origin=SYSTEM
                )
        assert [each.pointer for each in raised.value.errors] == pointers


async def test_a_failing_event_blocks_no_other_is_visible_and_can_be_replayed(shop: Shop) -> None:
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


async def test_a_failing_job_is_retried_with_back_off_and_then_fails(shops: ShopFactory) -> None:
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


async def test_the_reconciler_repairs_a_lost_event(shop: Shop) -> None:
    """SI7."""
    bought = shop.buy("pro")
    assert await shop.reconcile() == [shop.customer]
    assert await shop.plan() == "pro"
    assert await shop.reconcile() == []
    shop.client.v1.subscriptions.cancel(bought.id)
    assert await shop.reconcile() == [shop.customer]
    assert await shop.plan() == "free"
    assert await shop.reconcile() == []


async def test_the_reconciler_reads_all_pages(shop: Shop) -> None:
    """SI7: a page has a hundred subscriptions."""
    shop.buy("pro")
    stranger = shop.client.v1.customers.create().id
    for _ in range(101):
        shop.buy("pro", stranger)
    assert await shop.reconcile() == [shop.customer]


async def test_an_earlier_snapshot_never_replaces_a_later_one(shop: Shop) -> None:
    """SI4: two jobs read Stripe concurrently, and the one with the old state commits last."""
    database, subscriptions = shop.gateway.services.database, shop.gateway.services.features.subscriptions
    async with database.control() as session:
        begun = await repository.clock(session)
    early = Snapshot(shop.customer, (_bought(shop, "pro", "active"),), begun)
    late = Snapshot(shop.customer, (_bought(shop, "pro", "canceled"),), begun + timedelta(milliseconds=1))
    for snapshot in (late, early, replace(early, read_at=begun - timedelta(seconds=1))):
        async with database.control() as session:
            assert await subscriptions.apply(session, snapshot, origin=SYSTEM) == shop.gateway.acme.ref.id
    assert await shop.plan() == "free"


async def test_a_subscription_missing_at_stripe_counts_as_canceled(shop: Shop) -> None:
    database, subscriptions = shop.gateway.services.database, shop.gateway.services.features.subscriptions
    async with database.control() as session:
        begun = await repository.clock(session)
        await subscriptions.apply(
            session, Snapshot(shop.customer, (_bought(shop, "pro", "active"),), begun), origin=SYSTEM
        )
    assert await shop.plan() == "pro"
    async with database.control() as session:
        await subscriptions.apply(session, Snapshot(shop.customer, (), begun + timedelta(seconds=1)), origin=SYSTEM)
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
