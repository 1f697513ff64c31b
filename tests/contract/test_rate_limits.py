"""Throttling over the whole path of a request: per plan, per tenant, over workers, with the draft's fields."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tenants.identifiers import TENANT, show
from tests.fixtures.gateways import Gateway, GatewayFactory

pytestmark = pytest.mark.anyio

_POLICY = '"burst";q=10;w=1, "sustained";q=120;w=60'  # of plan "free"


async def _move_to_free(gateway: Gateway) -> None:
    path = f"/operator/v1/tenants/{show(TENANT, gateway.acme.ref.id)}"
    (await gateway.client.patch(path, json={"plan": "free"}, headers=gateway.operator)).raise_for_status()
    await _until_free(gateway)


async def _until_free(gateway: Gateway) -> None:
    async with asyncio.timeout(1):
        while (await _read(gateway)).headers["ratelimit-policy"] != _POLICY:
            pass


async def _read(gateway: Gateway, role: str = "viewer") -> httpx.Response:
    return await gateway.client.get("/v1/contacts", headers=gateway.acme.key(role))


async def _plan(gateway: Gateway) -> dict[str, Any]:
    plan: dict[str, Any] = (await gateway.client.get("/v1/me", headers=gateway.acme.key("viewer"))).json()["plan"]
    return plan


async def test_an_exhausted_plan_answers_429_with_retry_after(gateway: Gateway) -> None:
    """TH2, TH6: all keys of the tenant share the windows; a client that waits for Retry-After succeeds."""
    await _move_to_free(gateway)
    answers = [await _read(gateway, role) for role in ("viewer", "member", "admin") * 8]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "rate_limited"
    assert refused.headers["ratelimit-policy"] == _POLICY
    assert re.fullmatch(r'"burst";r=\d+;t=\d+, "sustained";r=\d+;t=\d+', refused.headers["ratelimit"])
    await asyncio.sleep(int(refused.headers["retry-after"]))
    assert (await _read(gateway)).status_code == 200


async def test_requests_beyond_the_concurrency_limit_answer_429_with_their_own_code(gateway: Gateway) -> None:
    """TH2, TH6, TH7: over all keys of the tenant; in force with the plan's change, and released by the response."""
    changed = await gateway.client.patch("/operator/v1/plans/scale", json={"concurrency": 1}, headers=gateway.operator)
    assert changed.json()["concurrency"] == 1
    await gateway.catch_up()
    async with asyncio.timeout(2):
        while (await _plan(gateway))["concurrency"] != 1:
            pass
    runs, may_end = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        runs.set()  # the body is read once the request is admitted
        yield b'{"name": "Ada'
        await may_end.wait()
        yield b'"}'

    headers = gateway.acme.key("member") | {"content-type": "application/json"}
    running = asyncio.create_task(gateway.client.post("/v1/contacts", content=body(), headers=headers))
    await runs.wait()
    refused = await _read(gateway)
    assert (refused.status_code, refused.json()["code"]) == (429, "concurrency_limited")
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["retry-after"]) >= 1
    assert {"ratelimit", "ratelimit-policy"} <= refused.headers.keys()
    assert (await gateway.client.get("/v1/contacts", headers=gateway.globex.key())).status_code == 200
    may_end.set()
    assert (await running).status_code == 201
    assert (await _read(gateway)).status_code == 200


async def test_the_other_tenant_is_not_limited(gateway: Gateway) -> None:
    """IS10: limits are per tenant."""
    await _move_to_free(gateway)
    for _ in range(30):
        await _read(gateway)
    answers = [await gateway.client.get("/v1/contacts", headers=gateway.globex.key()) for _ in range(30)]
    assert {answer.status_code for answer in answers} == {200}


async def test_two_workers_together_admit_no_more_than_the_plan(gateways: GatewayFactory) -> None:
    """TH1: a window is shared by all workers; here 10 a second, requested from both at once."""
    async with gateways() as one, gateways() as other:
        await _move_to_free(one)
        await _until_free(other)
        await asyncio.sleep(1.5)  # earlier requests leave the burst window, leases included
        statuses = Counter(
            answer.status_code for answer in await asyncio.gather(*(_read(w) for w in (one, other) * 20))
        )
    assert 1 <= statuses[200] <= 10
    assert statuses[200] + statuses[429] == 40


async def test_a_plan_change_is_in_force_on_the_other_worker(gateways: GatewayFactory) -> None:
    """TH7, ID4: without a restart."""
    async with gateways() as one, gateways() as other:
        assert (await _plan(other))["code"] == "scale"
        await _move_to_free(one)
        await _until_free(other)


async def test_without_redis_a_worker_admits_its_share(gateways: GatewayFactory) -> None:
    """TH8: two workers without Redis admit half of the limit each, without errors."""
    async with gateways(redis_url="redis://127.0.0.1:1/0", workers=2) as alone:
        await _move_to_free(alone)
        await asyncio.sleep(1.5)
        statuses = Counter([(await _read(alone)).status_code for _ in range(20)])
    assert statuses[200] <= 10
    assert set(statuses) == {200, 429}
