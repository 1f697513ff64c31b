"""A tenant whose migration failed is the only one that is not served (DESIGN decision 9)."""

import anyio
import psycopg
import pytest

from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio


async def test_a_tenant_whose_migration_failed_answers_503_alone_until_it_is_repaired(gateway: Gateway) -> None:
    """ID4: a principal that is remembered learns of it too, both ways."""
    assert await _me(gateway) == (200, 200)
    with psycopg.connect(gateway.urls.owner, autocommit=True) as owner:
        owner.execute("UPDATE tenantry.tenants SET migration_failed_at = now() WHERE slug = 'acme'")
        await _until(gateway, (503, 200))
        owner.execute("UPDATE tenantry.tenants SET migration_failed_at = NULL")
        await _until(gateway, (200, 200))


async def _me(gateway: Gateway) -> tuple[int, int]:
    acme = await gateway.client.get("/v1/me", headers=gateway.acme.key())
    globex = await gateway.client.get("/v1/me", headers=gateway.globex.key())
    return acme.status_code, globex.status_code


async def _until(gateway: Gateway, statuses: tuple[int, int]) -> None:
    with anyio.fail_after(2):
        while await _me(gateway) != statuses:
            await anyio.lowlevel.checkpoint()
