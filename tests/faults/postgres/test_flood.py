"""IS10: one tenant's flood of requests that hang, and other tenants beside it, through the whole gateway."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import psycopg
import pytest
from psycopg import sql

from tests.fixtures.gateways import Gateway, GatewayFactory

pytestmark = pytest.mark.anyio

_FLOOD = 120  # requests at any time
_ROUNDS = 8
_LONGEST = 1.5  # seconds that any other request may take, which takes milliseconds; the flood's own take 2 and more


@asynccontextmanager
async def _locked(gateway: Gateway) -> AsyncIterator[None]:
    """While a long transaction, such as a migration's, locks one tenant's table."""
    table = sql.Identifier(gateway.acme.ref.schema, "contacts")
    async with await psycopg.AsyncConnection.connect(gateway.urls.owner) as owner:
        await owner.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
        yield


@asynccontextmanager
async def _flooded(gateway: Gateway) -> AsyncIterator[list[httpx.Response]]:
    """While one tenant sends reads and writes without a pause; yields the responses."""
    stop, answers = asyncio.Event(), list[httpx.Response]()

    async def ask(method: str) -> None:
        body = {"name": "Ada"} if method == "POST" else None
        while not stop.is_set():
            answers.append(await gateway.client.request(method, "/v1/contacts", json=body, headers=gateway.acme.key()))

    async with asyncio.TaskGroup() as group, _locked(gateway):
        for number in range(_FLOOD):
            group.create_task(ask("POST" if number % 2 else "GET"))
        await asyncio.sleep(0.2)
        yield answers
        stop.set()


async def _use(gateway: Gateway) -> Counter[int]:
    """One after another: each verb, a page of the tenant's keys, a new key, and its first use."""
    key, seen = gateway.globex.key("admin"), Counter[int]()

    async def ask(method: str, path: str, body: object = None, headers: dict[str, str] = key) -> httpx.Response:
        began = time.monotonic()
        answer = await gateway.client.request(method, path, headers=headers, json=body)
        assert time.monotonic() - began < _LONGEST, f"{method} {path}"
        seen[answer.status_code] += 1
        return answer

    for number in range(_ROUNDS):
        path = (await ask("POST", "/v1/contacts", {"name": "Ada"})).headers["location"]
        await ask("GET", path)
        await ask("PATCH", path, {"company": "x"})
        await ask("GET", "/v1/contacts?company=x")
        await ask("DELETE", path)
        await ask("GET", "/v1/api-keys")
        made = await ask("POST", "/v1/api-keys", {"name": f"key {number}", "role": "viewer"})
        await ask("GET", "/v1/contacts", headers={"X-API-Key": made.json()["secret"]})
    return seen


async def test_a_flood_that_hangs_fails_no_other_tenant(gateway: Gateway) -> None:
    """IS10: no other request fails or waits; the flood's own are served late or get 429 or 503."""
    async with _flooded(gateway) as answers:
        assert await _use(gateway) == {200: 5 * _ROUNDS, 201: 2 * _ROUNDS, 204: _ROUNDS}
    assert {answer.status_code for answer in answers} <= {200, 201, 429, 503}
    assert all("retry-after" in answer.headers for answer in answers if answer.is_error)
    assert (await gateway.client.get("/v1/contacts", headers=gateway.acme.key())).status_code == 200


async def test_a_worker_opens_no_more_connections_than_its_settings_allow(gateways: GatewayFactory) -> None:
    """``TENANTRY_DATABASE_POOL_SIZE`` connections, three for look-ups, and the listener's."""
    async with gateways(database_pool_size=5) as gateway, asyncio.TaskGroup() as group:
        count = group.create_task(_most_connections(gateway))
        for tenant in (gateway.acme, gateway.globex):
            for path in ("/v1/contacts", "/v1/deals", "/v1/api-keys", "/v1/usage"):
                for _ in range(20):
                    group.create_task(gateway.client.get(path, headers=tenant.key("admin")))
    assert 4 <= count.result() <= 5 + 3 + 1


async def _most_connections(gateway: Gateway) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'tenantry_gateway' AND datname = current_database()"
    most = 0
    async with await psycopg.AsyncConnection.connect(gateway.urls.superuser, autocommit=True) as superuser:
        for _ in range(20):
            await asyncio.sleep(0.02)
            found = await (await superuser.execute(query)).fetchone()
            most = max(most, found[0] if found else 0)
    return most
