"""SI5: kill -9 at any point, and a PostgreSQL outage: no event is lost or applied twice."""

import asyncio
import json
import time
from typing import Any

import httpx
import psycopg
import pytest

from gateway.development.stripe.delivery import sign
from tests.fixtures.billing import WEBHOOK_SECRET, Shop, ShopFactory, eventually_so
from tests.fixtures.deployment import Deployment
from tests.fixtures.stripe import StripeFactory

pytestmark = pytest.mark.anyio


async def test_a_gateway_killed_between_storing_and_applying_loses_nothing(shop: Shop, deployment: Deployment) -> None:
    """SI3, SI5, OP2."""
    process, url = await asyncio.to_thread(deployment.gateway, shop.gateway.services.settings)
    shop.buy("pro")
    (event,) = shop.events()
    async with httpx.AsyncClient(trust_env=False) as client:
        raw = json.dumps(event).encode()
        headers = {"Stripe-Signature": sign(raw, WEBHOOK_SECRET, int(time.time()))}
        answer = await client.post(f"{url}/webhooks/stripe", content=raw, headers=headers)
        assert (answer.status_code, answer.json()) == (200, {"received": True})
    process.kill()
    assert await _status(shop, event["id"]) == ("received", 0)
    await asyncio.to_thread(deployment.worker, shop.gateway.services.settings)
    await _until_applied(shop, event["id"])
    assert await _status(shop, event["id"]) == ("applied", 1)
    assert await shop.plan() == "pro"


async def test_the_job_of_a_killed_worker_is_run_by_another_worker(
    shops: ShopFactory, start_stripe: StripeFactory, deployment: Deployment
) -> None:
    """SI5: the job runs again, once, with the same result."""
    stand_in = start_stripe()
    async with shops(stand_in=stand_in) as shop:
        shop.buy("pro")
        (event,) = shop.events()
        victim = await asyncio.to_thread(deployment.worker, shop.gateway.services.settings)
        stand_in.pause()  # Stripe hangs: the worker is in the middle
        await shop.deliver(event)

        async def begun() -> bool:
            return (await _status(shop, event["id"]))[1] == 1

        await eventually_so(begun, 20.0)
        victim.kill()
        stand_in.resume()
        assert await _status(shop, event["id"]) == ("received", 1)
        await asyncio.to_thread(deployment.worker, shop.gateway.services.settings)
        await _until_applied(shop, event["id"])
        assert await _status(shop, event["id"]) == ("applied", 2)
        assert await shop.plan() == "pro"
        assert _subscriptions(shop) == 1


async def test_a_purchase_during_a_gateway_crash_is_applied_after_the_restart(
    shops: ShopFactory, start_stripe: StripeFactory, deployment: Deployment
) -> None:
    """SI3, SI5: end to end; Stripe retries until it gets a response."""
    stand_in = start_stripe()
    async with shops(stand_in=stand_in) as shop:
        settings = shop.gateway.services.settings
        gateway, url = await asyncio.to_thread(deployment.gateway, settings)
        endpoint: Any = {"url": f"{url}/webhooks/stripe", "enabled_events": ["*"]}
        secret = shop.client.v1.webhook_endpoints.create(endpoint).secret
        gateway.kill()
        shop.buy("scale")
        told = settings.model_copy(update={"stripe_webhook_secrets": type(settings.key_peppers)(str(secret))})
        port = int(url.rpartition(":")[2])
        await asyncio.to_thread(deployment.worker, told)
        await asyncio.to_thread(deployment.gateway, told, port)
        (event,) = shop.events()
        await _until_applied(shop, event["id"])
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            me = (await client.get("/v1/me", headers=shop.gateway.acme.key())).json()
        assert me["plan"]["code"] == "scale"

        async def taken() -> bool:
            return bool(shop.events()[0]["pending_webhooks"] == 0)

        await eventually_so(taken, 10.0, pause=0.1)


async def test_a_worker_survives_the_loss_of_its_database_connections(shop: Shop, deployment: Deployment) -> None:
    """OP3: as a restart of PostgreSQL causes it; the worker is not restarted."""
    worker = await asyncio.to_thread(deployment.worker, shop.gateway.services.settings)
    with psycopg.connect(shop.gateway.urls.superuser, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name IN ('tenantry-jobs', 'tenantry')"
        )
    shop.buy("pro")
    (event,) = shop.events()

    async def delivered() -> bool:
        return (await shop.deliver(event)).status_code == 200

    await eventually_so(delivered, 10.0)
    await _until_applied(shop, event["id"])
    assert worker.running


async def _status(shop: Shop, event: str) -> tuple[str, int]:
    stored = await shop.stored(event)
    return ("", 0) if stored is None else (stored.status, stored.attempts)


async def _until_applied(shop: Shop, event: str) -> None:
    async def applied() -> bool:
        return (await _status(shop, event))[0] == "applied"

    await eventually_so(applied, 30.0, pause=0.05)


def _subscriptions(shop: Shop) -> int:
    with psycopg.connect(shop.gateway.urls.owner) as connection:
        row = connection.execute("SELECT count(*) FROM tenantry.subscriptions").fetchone()
    assert row is not None
    return int(row[0])
