"""The network to PostgreSQL drops packets: no connection breaks, and nothing arrives."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass

import psycopg
import pytest

from gateway.identity.cache import MAX_STALENESS
from tenants.secrets.tokens import SecretKind, generate
from tests.fixtures.databases import copy_database
from tests.fixtures.gateways import Gateway, Template, running_gateway
from tests.fixtures.network import PartitionableProxy, ProxiedConnection

pytestmark = pytest.mark.anyio
_PLAN = "UPDATE tenantry.plans SET name = 'unheard of' WHERE code = 'scale'"
_REVOKE = "UPDATE tenantry.api_keys SET revoked_at = now() WHERE name = 'the viewer key'"


@dataclass(frozen=True, slots=True)
class Environment:
    """A gateway, and a network between it and PostgreSQL."""

    gateway: Gateway
    network: PartitionableProxy

    async def status(self, key: str) -> int:
        """Of the response to this key."""
        return (await self.gateway.client.get("/v1/me", headers={"X-API-Key": key})).status_code

    async def until(self, key: str, status: int, seconds: float) -> float:
        """Seconds until the response has this status. Fails on timeout."""
        began = time.monotonic()
        async with asyncio.timeout(seconds):
            while await self.status(key) != status:  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def execute(self, statement: str) -> None:
        """Over a direct connection."""
        async with await psycopg.AsyncConnection.connect(self.gateway.urls.owner, autocommit=True) as connection:
            await connection.execute(statement.encode())


@pytest.fixture
async def environment(gateway_template: Template) -> AsyncIterator[Environment]:
    with ExitStack() as stack:
        urls = copy_database(gateway_template.urls, stack)
        async with (
            PartitionableProxy(urls.gateway).running() as network,
            running_gateway(gateway_template, urls, database_url=network.url) as gateway,
        ):
            yield Environment(gateway, network)


def _nothing(_connection: ProxiedConnection) -> bool:
    return False


def _everything(_connection: ProxiedConnection) -> bool:
    return True


def _notices(connection: ProxiedConnection) -> bool:
    return connection.is_listener


async def test_changes_apply_within_five_seconds_though_notifications_are_lost(environment: Environment) -> None:
    """ID4: packets of the listener's socket and of each replacement are dropped; the rest works."""
    acme, globex = environment.gateway.acme.keys["viewer"], environment.gateway.globex.keys["admin"]
    assert [await environment.status(key) for key in (acme, globex)] == [200, 200]
    environment.network.partitioned = _notices
    await environment.execute(_REVOKE)
    await environment.execute(_PLAN)
    changed = time.monotonic()
    assert await environment.until(acme, 401, MAX_STALENESS + 1) < MAX_STALENESS + 0.3
    assert time.monotonic() - changed < MAX_STALENESS + 0.3
    assert environment.gateway.services.plan_cache.plan("scale").name == "unheard of"
    for _ in range(10):
        assert await environment.status(globex) == 200  # loaded again, and valid for a while
    environment.network.partitioned = _nothing
    listener = environment.gateway.services.listener
    async with asyncio.timeout(5):
        while time.monotonic() - listener.confirmed_at > 1:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.02)


async def test_without_a_network_cached_credentials_work_for_five_seconds(
    environment: Environment,
) -> None:
    """ID4, OP3: then 503 and never 401, within the timeout; recovery at once."""
    warm, cold = environment.gateway.acme.keys["viewer"], environment.gateway.acme.keys["admin"]
    assert await environment.status(warm) == 200
    environment.network.partitioned = _everything
    silent = time.monotonic()
    unknown = [asyncio.create_task(environment.status(key)) for key in (cold, generate(SecretKind.LIVE), cold)]
    assert await environment.status(warm) == 200
    assert await asyncio.gather(*unknown) == [503, 503, 503]
    assert time.monotonic() - silent < MAX_STALENESS
    assert await environment.until(warm, 503, MAX_STALENESS + 3) > 0
    assert time.monotonic() - silent < MAX_STALENESS + 2.5  # its query has a timeout of its own
    environment.network.partitioned = _nothing
    assert await environment.until(warm, 200, 3) < 3
    assert await environment.until(cold, 200, 3) < 3
