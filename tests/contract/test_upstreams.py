"""Upstreams behind a served gateway: health, metrics, targets that go and come back."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner, Result

from gateway.cli.main import app
from tenants.routes.schemas import Configuration
from tests.fixtures.commands import answer
from tests.fixtures.gateways import GatewayFactory
from tests.fixtures.live_routes import Served, apply, served
from tests.unit.proxy.targets.servers import Server, servers, unused_url

pytestmark = pytest.mark.anyio

_CHECKS = {"interval": 0.1, "timeout": 0.1, "healthy_after": 1, "unhealthy_after": 1}
_HEALTH = "/operator/v1/upstreams/echo/health"


@pytest.fixture
async def site(gateways: GatewayFactory) -> AsyncIterator[Served]:
    async with gateways() as gateway, served(gateway) as site:
        yield site


def _configuration(urls: Sequence[str], **upstream: Any) -> Configuration:
    spec = {"name": "echo", "targets": [{"url": url} for url in urls], **upstream}
    route = {"name": "echoes", "upstream": "echo", "path": "/echo", "access": "principal"}
    return Configuration.model_validate({"upstreams": [spec], "routes": [route]})


async def _states(site: Served) -> list[str]:
    answer = await site.client.get(_HEALTH, headers=site.gateway.operator)
    assert answer.status_code == 200
    return [target["state"] for target in answer.json()["targets"]]


async def _until_states(site: Served, *states: str) -> None:
    async with asyncio.timeout(10):
        while await _states(site) != [*states]:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.02)


async def _metrics(site: Served) -> Mapping[tuple[str, ...], float]:
    text = (await site.client.get("/metrics", headers=site.gateway.operator)).text
    samples = (each for family in text_string_to_metric_families(text) for each in family.samples)
    return {(each.name, *each.labels.values()): each.value for each in samples if "upstream" in each.labels}


async def test_operators_see_the_health_of_targets(site: Served) -> None:
    """The view of the worker, and how many of the host agree. Metrics name no tenant (SE2)."""
    async with servers(2) as (good, of_globex):
        private_name = f"http://localhost:{of_globex.port}"
        own = {"globex": [{"url": private_name}]}
        await apply(site.gateway, _configuration([good.url, unused_url()], health=_CHECKS, by_tenant=own))
        await _until_states(site, "ready", "unhealthy", "unhealthy")  # globex's: a private address (PX1)
        assert {(await site.get("/echo")).status_code for _ in range(5)} == {200}
        assert (await site.client.get("/echo", headers=site.gateway.globex.key())).status_code == 503
        metrics = await _metrics(site)
        answer = (await site.client.get(_HEALTH, headers=site.gateway.operator)).json()
        ready, down, private = answer["targets"]
        assert (ready["requests"], ready["in_flight"], ready["connections"], ready["ready_workers"]) == (5, 0, 1, 1)
        assert (down["requests"], down["ready_workers"], down["tenant"]) == (0, 0, None)
        assert (private["tenant"], private["ready_workers"]) == ("globex", None)
        assert ready["next_check_at"]
        assert (answer["workers"], answer["retry_budget"]["requests"]) == (1, 6)
        assert metrics["tenantry_upstream_attempts_total", "ok", "echoes", "echo"] == 5
        assert metrics["tenantry_upstream_attempt_seconds_count", "echo"] == 5
        assert metrics["tenantry_upstream_without_target_total", "echo"] == 1
        assert metrics["tenantry_upstream_targets", "ready", "echo"] == 1
        assert metrics["tenantry_upstream_targets", "unhealthy", "echo"] == 2
        assert metrics["tenantry_upstream_target_ready", good.url, "echo"] == 1
        assert metrics["tenantry_upstream_connections", "idle", "echo"] == 1
        assert not any("globex" in label or private_name in label for key in metrics for label in key)
        await apply(site.gateway, Configuration())
        assert (await site.client.get(_HEALTH, headers=site.gateway.operator)).status_code == 404
        async with asyncio.timeout(10):
            while (metrics := await _metrics(site))["tenantry_upstream_targets", "ready", "echo"]:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert metrics["tenantry_upstream_attempts_total", "ok", "echoes", "echo"] == 5  # counters never decrease


async def _command(site: Served, *arguments: str) -> Result:
    """``tenantry upstreams health``, in a thread: the gateway runs in this one."""
    environment = {"TENANTRY_OPERATOR_KEY": site.gateway.operator["X-API-Key"]}
    command = ["upstreams", "health", *arguments]
    return await asyncio.to_thread(CliRunner().invoke, app, command, env=environment)


async def test_the_command_shows_the_health_of_targets(site: Served) -> None:
    """`tenantry upstreams health`, by an operator key over HTTP; errors in one sentence, without the key."""
    url = f"http://127.0.0.1:{site.port}"
    async with servers(1) as (target,):
        await apply(site.gateway, _configuration([target.url]))
        shown = answer(await _command(site, "echo", "--url", url, "--json"))
        assert (shown["name"], shown["targets"][0]["url"], shown["targets"][0]["state"]) == (
            "echo",
            target.url,
            "ready",
        )
        as_text = await _command(site, "echo", "--url", url)
        assert as_text.stdout.splitlines()[1].split()[:3] == [target.url, "-", "ready"]
    for arguments, code in (
        (["none", "--url", url], "not_found"),
        (["echo", "--url", url, "--key", "tn_op_wrong"], "credential_invalid"),
        (["echo", "--url", unused_url()], "unavailable"),
        (["echo", "--url", "http://"], "unavailable"),
    ):
        failed = await _command(site, *arguments, "--json")
        assert answer(failed, 1)["error"]["code"] == code
        assert "tn_op_" not in failed.output


async def test_all_targets_down_is_503_until_one_returns(site: Served) -> None:
    """A problem document with Retry-After as long as all fail their checks; 502 before that is known."""
    async with servers(2) as both:
        await apply(site.gateway, _configuration([each.url for each in both], health=_CHECKS))
        await _until_states(site, "ready", "ready")
        for each in both:
            await each.kill()
        await _until_states(site, "unhealthy", "unhealthy")
        refused = await site.get("/echo")
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (
            503,
            "unavailable",
            "1",
        )
        await both[1].start()
        await _until_states(site, "unhealthy", "ready")
        assert (await site.get("/echo")).status_code == 200


async def test_restarts_and_new_versions_under_load_lose_no_request(site: Served) -> None:
    """PX10: targets are killed, started, added and removed while GETs run through the gate."""
    async with servers(3) as three:
        versions = [_configuration([three[0].url, three[each].url], retry_budget=1) for each in (1, 2)]
        await apply(site.gateway, versions[0])
        for each in three:
            each.delay = 0.002
        done, statuses = asyncio.Event(), Counter[int]()
        load = asyncio.gather(*(_load(site, done, statuses) for _ in range(4)))
        for turn in range(4):
            await _restart(three[turn % 2])
            await apply(site.gateway, versions[(turn + 1) % 2])
        done.set()
        await load
        assert set(statuses) == {200}
        assert statuses[200] > 50
        assert all(each.requests for each in three)


async def _load(site: Served, done: asyncio.Event, statuses: Counter[int]) -> None:
    while not done.is_set():
        statuses[(await site.get("/echo")).status_code] += 1


async def _restart(server: Server) -> None:
    await asyncio.sleep(0.1)
    await server.kill()
    await asyncio.sleep(0.1)
    await server.start()
