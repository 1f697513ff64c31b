"""Plans in memory: seeding is idempotent; notifications keep them current, and polling without notifications."""

from pathlib import Path

import psycopg
import pytest

from billing.plans.cache import PlanNotLoaded
from billing.plans.catalogue import read_catalogue
from billing.plans.service import Plans
from tenants.audit.origin import SYSTEM
from tests.fixtures.billing import eventually_so
from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

PLANS = Path("examples/crm/plans.toml")


async def _until_named(gateway: Gateway, name: str, seconds: float) -> None:
    async def named() -> bool:
        return gateway.services.plan_cache.plan("pro").name == name

    await eventually_so(named, seconds)


def _rename(gateway: Gateway, name: str) -> None:
    with psycopg.connect(gateway.urls.owner) as connection:
        connection.execute("UPDATE tenantry.plans SET name = %s WHERE code = 'pro'", (name,))


async def test_seeding_again_changes_nothing_and_keeps_the_prices(gateway: Gateway) -> None:
    catalogue = read_catalogue(PLANS)
    async with gateway.services.database.control() as session:
        assert await Plans().seed(session, catalogue.priced({"pro": "price_1"}), origin=SYSTEM) == ["pro"]
    async with gateway.services.database.control() as session:
        assert await Plans().seed(session, catalogue, origin=SYSTEM) == []
    await gateway.services.plan_cache.load()
    assert gateway.services.plan_cache.plan("pro").stripe_price_id == "price_1"


async def test_a_change_by_any_client_is_loaded_at_once(gateway: Gateway) -> None:
    """ID4: the table's trigger notifies."""
    _rename(gateway, "Pro of today")
    await _until_named(gateway, "Pro of today", 2.0)


async def test_a_change_is_loaded_within_two_seconds_without_notifications(gateway: Gateway) -> None:
    """ID4: with the notification channel down."""
    await gateway.services.listener.close()
    _rename(gateway, "Pro unheard of")
    await _until_named(gateway, "Pro unheard of", 2.0)


async def test_unchanged_plans_stay_the_same_objects(gateway: Gateway) -> None:
    book = gateway.services.plan_cache
    before = book.plan("scale")
    _rename(gateway, "Another Pro")
    await _until_named(gateway, "Another Pro", 5.0)
    assert book.plan("scale") is before
    assert [plan.code for plan in book.plans()] == ["free", "pro", "scale"]
    assert book.default.code == "free"


async def test_an_unknown_plan_is_unavailable_and_not_an_internal_error(gateway: Gateway) -> None:
    with pytest.raises(PlanNotLoaded):
        gateway.services.plan_cache.plan("unheard-of")
