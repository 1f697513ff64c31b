"""The network to PostgreSQL drops packets: no connection breaks, and nothing arrives."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack
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


@dataclass(frozen=True, slots=True)
class Environment:
    """A gateway, and a network between it and PostgreSQL."""

    gateway: Gateway
    network: PartitionableProxy
    another: Callable[[], AbstractAsyncContextManager[Gateway]]  # of the same deployment, with a sound network

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
            yield Environment(gateway, network, lambda: running_gateway(gateway_template, urls))


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.02)


async def _revoke_path(gateway: Gateway) -> str:
    keys = (await gateway.client.get("/v1/api-keys?limit=100", headers=gateway.acme.key("admin"))).json()["data"]
    (key,) = [each["id"] for each in keys if each["name"] == "the viewer key"]
    return f"/v1/api-keys/{key}/revoke"


async def _new_key(gateway: Gateway) -> dict[str, str]:
    body = {"name": "short-lived", "role": "viewer"}
    made: dict[str, str] = (
        await gateway.client.post("/v1/api-keys", json=body, headers=gateway.acme.key("admin"))
    ).json()
    return made


def _nothing(_connection: ProxiedConnection) -> bool:
    return False


def _everything(_connection: ProxiedConnection) -> bool:
    return True


def _refused_notices(connection: ProxiedConnection) -> bool:
    if connection.is_listener:
        raise ConnectionError
    return False


def _notices(connection: ProxiedConnection) -> bool:
    return connection.is_listener


@pytest.mark.parametrize("closed", [False, True])
async def test_a_worker_without_its_listener_uses_nothing_old_after_the_answer(
    environment: Environment, *, closed: bool
) -> None:
    """ID14: packets of its listener are dropped, or its connections closed; the rest works. Later answers are quick."""
    acme, globex = environment.gateway.acme.keys["viewer"], environment.gateway.globex.keys["admin"]
    async with environment.another() as other:
        path = await _revoke_path(other)
        assert [await environment.status(key) for key in (acme, globex)] == [200, 200]
        environment.network.partitioned = _refused_notices if closed else _notices
        await environment.execute(_PLAN)
        began = time.monotonic()
        assert (await other.client.post(path, headers=other.acme.key("admin"))).status_code == 204
        assert await environment.status(acme) == 401
        assert time.monotonic() - began < 2.2
        assert [await environment.status(globex) for _ in range(10)] == [200] * 10  # looked up, each time
        await _until(lambda: environment.gateway.services.plan_cache.plan("scale").name == "unheard of", 2.5)
        key = await _new_key(other)
        assert await environment.status(key["secret"]) == 200
        began, path = time.monotonic(), f"/v1/api-keys/{key['id']}/revoke"
        assert (await other.client.post(path, headers=other.acme.key("admin"))).status_code == 204
        assert await environment.status(key["secret"]) == 401
        assert time.monotonic() - began < 1
    environment.network.partitioned = _nothing
    listener = environment.gateway.services.listener
    await _until(lambda: time.monotonic() - listener.confirmed_at < 1, 5)


async def test_without_a_network_cached_credentials_work_while_they_are_trusted(
    environment: Environment,
) -> None:
    """ID4, OP3: then 503 and never 401, within the timeout; recovery at once."""
    warm, cold = environment.gateway.acme.keys["viewer"], environment.gateway.acme.keys["admin"]
    assert await environment.status(warm) == 200
    environment.network.partitioned = _everything
    silent = time.monotonic()
    unknown = [asyncio.create_task(environment.status(key)) for key in (cold, generate(SecretKind.LIVE), cold)]
    assert await environment.status(warm) == 200
    assert time.monotonic() - silent < MAX_STALENESS
    assert await asyncio.gather(*unknown) == [503, 503, 503]
    assert await environment.status(warm) == 503
    assert time.monotonic() - silent < 5
    environment.network.partitioned = _nothing
    assert await environment.until(warm, 200, 3) < 3
    assert await environment.until(cold, 200, 3) < 3
