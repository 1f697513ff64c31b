"""Proxied routes from end to end: a served gateway, its database, and an upstream that records what it gets."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from billing.plans.schemas import PlanChange
from gateway.features import opened
from tenants.audit.origin import COMMAND_LINE
from tenants.identifiers import TENANT, show
from tests.fixtures.gateways import Gateway, GatewayFactory
from tests.fixtures.live_routes import Served, apply, configuration_of, served
from tests.fixtures.people import execute
from tests.fixtures.proxied import ScriptedUpstream, scripted

pytestmark = pytest.mark.anyio

_EXPLAIN = "/v1/decisions/explain"


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted() as running:
        yield running


@pytest.fixture
async def site(gateways: GatewayFactory, upstream: ScriptedUpstream) -> AsyncIterator[Served]:
    """A gateway with the route /echo, permission echo:use."""
    async with gateways() as gateway, served(gateway) as site:
        await apply(gateway, configuration_of(upstream.url, {}))
        yield site


def _outcome(answer: httpx.Response) -> tuple[int, str | None]:
    """Status, and the code of a problem document."""
    is_problem = answer.headers.get("content-type") == "application/problem+json"
    return answer.status_code, answer.json()["code"] if is_problem else None


async def _change_plan(gateway: Gateway, code: str, **changes: Any) -> None:
    change, features = PlanChange.model_validate(changes), gateway.services.features
    async with gateway.services.database.control() as session:
        await features.plans.change(session, code, change, origin=COMMAND_LINE)
    await features.confirmations.confirm()


async def test_a_request_with_a_key_of_the_role_reaches_the_upstream(site: Served, upstream: ScriptedUpstream) -> None:
    """PX3, PX4: with the identity and without the credential. The others are refused before it, as on any route."""
    answer = await site.get("/echo/a/b?c=d")
    assert (answer.status_code, answer.text) == (200, "ok")
    assert {"x-request-id", "ratelimit", "ratelimit-policy"} <= answer.headers.keys()
    (request,) = upstream.requests
    assert (request.method, request.target) == ("GET", "/echo/a/b?c=d")
    assert request.field("tenantry-identity")
    assert "x-api-key" not in request.names
    refused = [
        (await site.get("/echo", "viewer"), (403, "forbidden")),
        (await site.get("/echo", None), (401, "credential_missing")),
        (await site.get("/echo", headers={"X-API-Key": "tn_live_none"}), (401, "credential_invalid")),
        (await site.get("/other"), (404, "not_found")),
        (await site.get("/echo/%2e%2e/x"), (404, "not_found")),
    ]
    assert [_outcome(answer) for answer, _ in refused] == [wanted for _, wanted in refused]
    assert len(upstream.requests) == 1


async def test_methods_hosts_and_pages_are_as_the_routes_say(site: Served, upstream: ScriptedUpstream) -> None:
    """AZ1: a permission by method, HEAD as GET; a host of its own; a preflight where pages may call the route."""
    rights = {"permissions": {"GET": "echo:read", "POST": "echo:write"}, "methods": ["GET", "POST"], "browsers": True}
    hosted = {"name": "shop", "path": "/shop", "hosts": ["shop.example"], "access": "public", "methods": ["GET"]}
    await apply(site.gateway, configuration_of(upstream.url, {"grade": None} | rights, hosted))

    async def asked(path: str, role: str | None, **options: Any) -> tuple[int, str | None]:
        return _outcome(await site.get(path, role, **options))

    assert await asked("/echo", "viewer") == (200, None)
    assert await asked("/echo", "viewer", method="HEAD") == (200, None)
    assert [request.method for request in upstream.requests] == ["GET", "HEAD"]
    assert await asked("/echo", "viewer", method="POST") == (403, "forbidden")
    assert await asked("/echo", "member", method="POST", content=b"x") == (200, None)
    assert await asked("/echo", "member", method="PUT") == (405, "method_not_allowed")
    shop = {"Host": "shop.example"}
    assert await asked("/shop/x", None, headers=shop) == (200, None)
    assert await asked("/shop/x", None) == (404, "not_found")
    assert await asked("/echo", "viewer", headers=shop) == (200, None)
    origin = "https://app.acme.example"
    execute(site.gateway, "UPDATE tenantry.tenants SET allowed_origins = ARRAY[%s]", origin)
    await site.gateway.services.features.confirmations.confirm()
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for path, host, status in (("/echo", {}, 204), ("/shop/x", shop, 405)):
        answer = await site.get(path, None, method="OPTIONS", headers=preflight | host)
        assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (status, status == 204)


@pytest.mark.parametrize("workers", [2])
async def test_a_right_that_a_version_takes_is_gone_when_it_is_answered(
    gateways: GatewayFactory, upstream: ScriptedUpstream, workers: int
) -> None:
    """ID14: no request that begins after the answer is admitted by any worker, under load."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(gateways()) for _ in range(workers)]
        sites = [await stack.enter_async_context(served(each)) for each in opened]
        narrow, wide = ({"permission": "echo:admin", "grade": "own"}, {"permission": "echo:use"})
        for _ in range(3):
            await apply(opened[0], configuration_of(upstream.url, wide))
            asking = [asyncio.create_task(_ask_until_refused(each)) for each in sites]
            await asyncio.sleep(0.02)
            await apply(opened[0], configuration_of(upstream.url, narrow))
            answers = await asyncio.gather(*(each.get("/echo") for each in sites for _ in range(5)))
            assert {_outcome(answer) for answer in answers} == {(403, "forbidden")}
            assert {status for found in await asyncio.gather(*asking) for status in found} <= {200, 403}


async def _ask_until_refused(site: Served) -> list[int]:
    statuses: list[int] = []
    while not statuses or statuses[-1] == 200:
        statuses.append((await site.get("/echo")).status_code)
    return statuses


async def test_twenty_versions_under_traffic_lose_no_request(site: Served, upstream: ScriptedUpstream) -> None:
    """A route that is in all of them never answers 404, and what has to agree does."""
    stop, answers = asyncio.Event(), []

    async def ask(path: str) -> None:
        while not stop.is_set():
            answers.append((path, await site.get(path)))

    asking = [asyncio.create_task(ask(path)) for path in ("/echo/x", "/echo/x", "/moved/x")]
    for number in range(20):
        moved = {"name": "moved", "path": "/moved", "cost": number % 2 + 1}
        first = await apply(site.gateway, configuration_of(upstream.url, {}, moved))
    stop.set()
    await asyncio.gather(*asking)
    outcomes = {(path, _outcome(answer)) for path, answer in answers}
    assert outcomes <= {("/echo/x", (200, None)), ("/moved/x", (200, None)), ("/moved/x", (404, "not_found"))}
    assert len(answers) > 40
    assert site.gateway.services.live_routes.version == first


async def test_a_route_asks_for_a_feature_of_the_plan(site: Served, upstream: ScriptedUpstream) -> None:
    """Present, and neither false nor 0 nor empty; after the role, and without reaching the upstream."""
    await apply(site.gateway, configuration_of(upstream.url, {"feature": "exports"}))
    given: list[tuple[dict[str, Any], bool]] = [
        ({}, False),
        ({"exports": False}, False),
        ({"exports": 0}, False),
        ({"exports": ""}, False),
        ({"imports": True}, False),
        ({"exports": True}, True),
        ({"exports": 1}, True),
        ({"exports": "csv"}, True),
    ]
    for features, included in given:
        await _change_plan(site.gateway, "scale", features=features)
        answer = await site.get("/echo")
        assert _outcome(answer) == ((200, None) if included else (403, "entitlement_required")), features
        assert _outcome(await site.get("/echo", "viewer")) == (403, "forbidden")
        explained = await site.get(_EXPLAIN, method="POST", json={"method": "GET", "path": "/echo"})
        found = explained.json()
        assert (found["decision"]["stage"], found["entitlement"]) == (
            (None, {"plan": "scale", "feature": "exports", "code": None})
            if included
            else ("entitlement", {"plan": "scale", "feature": "exports", "code": "entitlement_required"})
        )
        if not included:
            assert answer.json()["detail"] == (
                "The plan Scale does not include the feature exports. Upgrade the plan to use it."
            )
    assert len(upstream.requests) == sum(included for _, included in given)


async def test_roles_and_scopes_hold_permissions_of_routes(site: Served, upstream: ScriptedUpstream) -> None:
    """AZ5, ID14: as those of resources, while the route exists; afterwards the role stays readable and changeable."""
    client, admin = site.client, site.gateway.acme.key("admin")

    async def names() -> set[str]:
        return {each["name"] for each in (await client.get("/v1/permissions", headers=admin)).json()["data"]}

    async def key_of(**wanted: Any) -> dict[str, str]:
        made = await client.post("/v1/api-keys", json={"name": "k"} | wanted, headers=admin)
        return {"X-API-Key": made.raise_for_status().json()["secret"]}

    await apply(site.gateway, configuration_of(upstream.url, {"permission": "echo:use"}, _REPORTS))
    assert {"echo:use", "reports:read"} <= await names()
    async with opened(site.gateway.services.settings) as features:  # as commands and job workers know them
        assert {"echo:use", "reports:read"} <= features.permissions.names
    unknown = await client.post("/v1/roles", json={"name": "caller", "permissions": ["echo:none"]}, headers=admin)
    assert _outcome(unknown) == (422, "validation_failed")
    body = {"name": "caller", "permissions": ["echo:use", "contacts:read"]}
    role = (await client.post("/v1/roles", json=body, headers=admin)).raise_for_status().json()
    heir = {"name": "heir", "permissions": [], "inherits": ["viewer"]}
    (await client.post("/v1/roles", json=heir, headers=admin)).raise_for_status()
    caller, scoped, inheriting = (
        await key_of(role="caller"),
        await key_of(role="member", scopes=["echo:use"]),
        await key_of(role="heir"),
    )

    async def statuses(path: str) -> list[int]:
        return [(await client.get(path, headers=each)).status_code for each in (caller, scoped, inheriting)]

    assert (await statuses("/echo"), await statuses("/reports")) == ([200, 200, 403], [403, 403, 200])

    await apply(site.gateway, configuration_of(upstream.url, _REPORTS | {"name": "echo", "path": "/echo"}))
    assert "echo:use" not in await names()
    assert await statuses("/echo") == [403, 403, 200]
    path = f"/v1/roles/{role['id']}"
    assert (await client.get(path, headers=admin)).json()["permissions"] == ["contacts:read", "echo:use"]
    change = {"permissions": ["contacts:read", "contacts:create", "echo:use"]}
    (await client.patch(path, json=change, headers=admin)).raise_for_status()
    assert (await client.get("/v1/contacts", headers=caller)).status_code == 200

    await apply(site.gateway, configuration_of(upstream.url, {"permission": "echo:use"}))
    assert await statuses("/echo") == [200, 200, 403]


_REPORTS = {"name": "reports", "path": "/reports", "permission": "reports:read", "methods": ["GET"]}


async def test_a_proxied_request_is_limited_counted_and_explained(site: Served, upstream: ScriptedUpstream) -> None:
    """TH1, TH6, AZ10: its cost is charged to the windows of the plan and counted as usage, by the route's template."""
    await apply(site.gateway, configuration_of(upstream.url, {"cost": 2}))
    gateway, tenant = site.gateway, show(TENANT, site.gateway.acme.ref.id)
    explained = (await site.get(_EXPLAIN, "viewer", method="POST", json={"method": "PUT", "path": "/echo/7"})).json()
    assert explained["decision"]["code"] == "forbidden"
    assert {name: explained["route"][name] for name in ("template", "permission", "cost", "budget")} == {
        "template": "/echo/{rest:path}",
        "permission": "echo:use",
        "cost": 2,
        "budget": "plan",
    }
    windows = [{"name": "minute", "quota": 6, "window_seconds": 60}]
    await _change_plan(gateway, "scale", windows=windows)
    answers = [_outcome(await site.get("/echo/7")) for _ in range(4)]
    assert answers == [(200, None), (200, None), (200, None), (429, "rate_limited")]
    assert len(upstream.requests) == 3
    gateway.services.usage.journal.finish_current()
    await gateway.services.usage.flusher.round()
    rows = execute(gateway, "SELECT route, sum(requests), sum(cost) FROM tenantry.usage_minutes GROUP BY route")
    assert ("/echo/{rest:path}", 3, 6) in rows
    await gateway.client.post(f"/operator/v1/tenants/{tenant}/suspend", headers=gateway.operator)
    assert _outcome(await site.get("/echo/7")) == (403, "tenant_suspended")
    metrics = (await site.client.get("/metrics")).text
    assert "tenantry_routes_version 3.0" in metrics  # the template is version 1
