"""The real nginx, Caddy, Envoy and Traefik, with the files of ``examples/edges``, ask the gateway for every request."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.development.processes import LOOPBACK
from tenants.routes.schemas import Configuration
from tests.fixtures.edges import KINDS, Edge, Service, identity_of, recording_service, running_edge
from tests.fixtures.gateways import Gateway, GatewayFactory
from tests.fixtures.live_routes import apply, served

pytestmark = pytest.mark.anyio

# Decided here and served there: no upstream.
_ROUTES = [
    {
        "name": "orders",
        "path": "/orders",
        "methods": ["GET", "POST"],
        "permissions": {"GET": "orders:read", "POST": "orders:write"},
    },
    {"name": "public", "path": "/public", "access": "public"},
    {"name": "admin", "path": "/admin", "permission": "orders:admin", "grade": "manage"},
]
_FORGED = {
    "Tenantry-Identity": "forged",
    "tenantry_identity": "forged",
    "TENANTRY.IDENTITY": "forged",
    "Tenantry+Identity": "forged",
    "Connection": "Tenantry-Identity, close",
}
# What it is decided as is either refused, or what is served: never another path.
_TRICKS = (
    "/public/../admin",
    "/public/%2e%2e/admin",
    "/public/.%2E/admin",
    "/public%2f..%2fadmin",
    "/public/..%5cadmin",
    "/public\\..\\admin",
    "/public/..;/admin",
    "/public;/../admin",
    "//admin",
    "/public//../admin",
    "/./admin",
    "/public/%252e%252e/admin",
    "/public/..%00/admin",
    "/public#/../admin",
)
_LIES = (
    "X-Original-URI: /public\r\nX-Original-Method: GET\r\nX-Original-Host: x\r\n",
    "X-Forwarded-Uri: /public\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Host: x\r\n",
    "X-Original-URI: /public\r\nX-Forwarded-Uri: /public\r\n",
)


@dataclass(frozen=True, slots=True)
class Guarded:
    """A service behind a proxy that asks a gateway."""

    gateway: Gateway
    service: Service
    edge: Edge
    client: httpx.AsyncClient
    stop_gateway: Callable[[], Awaitable[None]]

    async def ask(
        self, method: str, path: str, role: str | None = "member", **options: Any
    ) -> tuple[httpx.Response, list[Any]]:
        """The answer, and what has reached the service."""
        headers = (self.gateway.acme.key(role) if role else {}) | options.pop("headers", {})
        answer = await self.client.request(method, path, headers=headers, **options)
        return answer, self.service.take()


@asynccontextmanager
async def _guarded(name: str, gateways: GatewayFactory, folder: Path) -> AsyncIterator[Guarded]:
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(gateways(decision_networks=[LOOPBACK]))
        await apply(gateway, Configuration.model_validate({"routes": _ROUTES}))
        server = await stack.enter_async_context(AsyncExitStack())
        port = (await server.enter_async_context(served(gateway))).port
        service = await stack.enter_async_context(recording_service())
        edge = await stack.enter_async_context(running_edge(name, folder, gateway=port, service=service.port))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=edge.url, timeout=10))
        service.take()
        yield Guarded(gateway, service, edge, client, server.aclose)


@pytest.mark.parametrize("name", sorted(KINDS))
async def test_a_proxy_in_front_enforces_what_the_gate_decides(
    name: str, gateways: GatewayFactory, tmp_path: Path
) -> None:
    """PX3, PX4, PX6, TH6: what is admitted comes with the identity, and nothing else reaches the service."""
    async with _guarded(name, gateways, tmp_path) as guarded:
        await _admits(guarded)
        await _refuses(guarded)
        await _limits(guarded)
        await _decides_on_what_is_served(guarded)
        await guarded.stop_gateway()
        answer, received = await guarded.ask("GET", "/public", None)
        assert answer.status_code in {500, 502, 503}, "without a decision nothing is served"
        assert received == []


async def _admits(guarded: Guarded) -> None:
    """The body passes, the credential does not, and the identity is the gateway's own however a client writes it."""
    for fields in ({}, _FORGED):
        answer, (received,) = await guarded.ask("POST", "/orders/7?a=b", headers=fields, content=b"body")
        assert (answer.status_code, answer.text) == (200, "served")
        assert (received.method, received.target, received.body) == ("POST", "/orders/7?a=b", b"body")
        (identity,) = received.fields["tenantry-identity"]
        claims = await identity_of(guarded.gateway, identity)
        assert (claims["aud"], claims["tenant_slug"], claims["roles"]) == ("decisions", "acme", ["member"])
        assert not {"authorization", "x-api-key"} & received.fields.keys()
        spellings = {each for each in received.fields if "identity" in each}
        assert spellings == {"tenantry-identity"}
        assert received.fields["x-request-id"][0].startswith("req_")
    answer, (received,) = await guarded.ask("HEAD", "/public", None, headers=_FORGED)
    assert (answer.status_code, received.method) == (200, "HEAD")
    assert not any("identity" in each for each in received.fields)


async def _refuses(guarded: Guarded) -> None:
    """With the gateway's own answers."""
    cases = (
        ("GET", "/orders", None, 401, "credential_missing"),
        ("POST", "/orders", "viewer", 403, "forbidden"),
        ("GET", "/unknown", "member", 404, "not_found"),
        ("DELETE", "/orders", "member", 405, "method_not_allowed"),
    )
    for method, path, role, status, code in cases:
        answer, received = await guarded.ask(method, path, role)
        assert (answer.status_code, received) == (status, [])
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert (problem["status"], problem["code"]) == (status, code)
        assert answer.headers["x-request-id"] == problem["request_id"]
        assert ("www-authenticate" in answer.headers) == (status == 401)


async def _limits(guarded: Guarded) -> None:
    """A key with a limit of its own; Retry-After reaches the client."""
    limits = [{"name": "own", "quota": 2, "window_seconds": 3_600}]
    made = await guarded.gateway.client.post(
        "/v1/api-keys",
        headers=guarded.gateway.acme.key("owner"),
        json={"name": "slow", "role": "member", "limits": limits},
    )
    key = {"Authorization": f"Bearer {made.json()['secret']}"}
    statuses = [(await guarded.ask("GET", "/orders", None, headers=key))[0].status_code for _ in range(2)]
    answer, received = await guarded.ask("GET", "/orders", None, headers=key)
    assert (statuses, answer.status_code, received) == ([200, 200], 429, [])
    assert int(answer.headers["retry-after"]) > 3_000
    assert answer.json()["code"] == "rate_limited"
    assert "r=0" in answer.headers["ratelimit"]


async def _decides_on_what_is_served(guarded: Guarded) -> None:
    """Without a credential only what is public is served, whatever the target or the fields say."""
    for target in _TRICKS:
        await guarded.edge.raw(target)
        for received in guarded.service.take():
            path = received.target.partition("?")[0]
            assert path.startswith("/public"), (target, received.target)
            assert ".." not in path, (target, received.target)
    for lies in _LIES:
        assert await guarded.edge.raw("/admin", lies) in {400, 401}
    assert guarded.service.take() == []
