"""The network to PostgreSQL falls silent: no connection breaks, and nothing arrives any more."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass

import psycopg
import pytest

from gateway.identity.cache import TRUST
from tenants.secrets.tokens import SecretKind, generate
from tests.fixtures.databases import copy_database
from tests.fixtures.gateways import Gateway, Template, running_gateway
from tests.fixtures.network import PartitionableProxy, ProxiedConnection

pytestmark = pytest.mark.anyio
_PLAN = "UPDATE tenantry.plans SET name = 'unheard of' WHERE code = 'scale'"
_REVOKE = "UPDATE tenantry.api_keys SET revoked_at = now() WHERE name = 'the viewer key'"


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway, and the network between it and PostgreSQL."""

    gateway: Gateway
    network: PartitionableProxy

    async def status(self, key: str) -> int:
        """Of an answer to this key."""
        return (await self.gateway.client.get("/v1/me", headers={"X-API-Key": key})).status_code

    async def until(self, key: str, status: int, seconds: float) -> float:
        """Seconds until the key is answered so. Fails when that takes longer."""
        began = time.monotonic()
        async with asyncio.timeout(seconds):
            while await self.status(key) != status:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def execute(self, statement: str) -> None:
        """By another way than the gateway's."""
        async with await psycopg.AsyncConnection.connect(self.gateway.urls.owner, autocommit=True) as connection:
            await connection.execute(statement.encode())


@pytest.fixture
async def place(gateway_template: Template) -> AsyncIterator[Place]:
    with ExitStack() as stack:
        urls = copy_database(gateway_template.urls, stack)
        async with (
            PartitionableProxy(urls.gateway).running() as network,
            running_gateway(gateway_template, urls, database_url=network.url) as gateway,
        ):
            yield Place(gateway, network)


def _nothing(_connection: ProxiedConnection) -> bool:
    return False


def _everything(_connection: ProxiedConnection) -> bool:
    return True


def _notices(connection: ProxiedConnection) -> bool:
    return connection.is_listener


async def test_changes_are_in_force_within_five_seconds_though_their_notices_vanish(place: Place) -> None:
    """ID4: the listener's socket is dropped in silence, and so is each that would replace it; the rest works on."""
    acme, globex = place.gateway.acme.keys["viewer"], place.gateway.globex.keys["admin"]
    assert [await place.status(key) for key in (acme, globex)] == [200, 200]
    place.network.partitioned = _notices
    await place.execute(_REVOKE)
    await place.execute(_PLAN)
    changed = time.monotonic()
    assert await place.until(acme, 401, TRUST + 1) < TRUST + 0.3
    assert time.monotonic() - changed < TRUST + 0.3
    assert place.gateway.services.plan_book.plan("scale").name == "unheard of"
    for _ in range(10):
        assert await place.status(globex) == 200  # asked for again, and believed for a while
    place.network.partitioned = _nothing
    listener = place.gateway.services.listener
    async with asyncio.timeout(5):
        while time.monotonic() - listener.confirmed_at > 1:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


async def test_a_network_that_falls_silent_is_five_seconds_of_trust_and_then_an_outage(place: Place) -> None:
    """ID4, OP3: what cannot be asked is 503 and never 401, within the deadline; back at once when it is back."""
    warm, cold = place.gateway.acme.keys["viewer"], place.gateway.acme.keys["admin"]
    assert await place.status(warm) == 200
    place.network.partitioned = _everything
    silent = time.monotonic()
    unknown = [asyncio.create_task(place.status(key)) for key in (cold, generate(SecretKind.LIVE), cold)]
    assert await place.status(warm) == 200
    assert await asyncio.gather(*unknown) == [503, 503, 503]
    assert time.monotonic() - silent < TRUST
    assert await place.until(warm, 503, TRUST + 3) > 0
    assert time.monotonic() - silent < TRUST + 2.5  # its question has a deadline of its own
    place.network.partitioned = _nothing
    assert await place.until(warm, 200, 3) < 3
    assert await place.until(cold, 200, 3) < 3
