"""Only the tenant whose migration failed gets 503."""

import anyio
import psycopg
import pytest

from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio


async def test_only_the_tenant_whose_migration_failed_gets_503_until_it_is_repaired(gateway: Gateway) -> None:
    """ID4: cached principals change too, both ways."""
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
