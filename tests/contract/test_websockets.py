"""WebSockets of proxied routes through the whole gateway: charged, counted, and ended with their rights (ID5, PX12)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from gateway.throttle import concurrency
from tenants.identifiers import TENANT, show
from tests.fixtures.gateways import Gateway, GatewayFactory
from tests.fixtures.live_routes import Served, apply, configuration_of, served
from tests.fixtures.websockets import websocket_server

pytestmark = pytest.mark.anyio

_ROUTE: dict[str, Any] = {"websocket": {}}


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with websocket_server() as url:
        yield url


@pytest.fixture
async def site(gateways: GatewayFactory, upstream: str) -> AsyncIterator[Served]:
    """A gateway with the route /echo, permission echo:use, which allows WebSockets."""
    async with gateways() as gateway, served(gateway) as site:
        await apply(gateway, configuration_of(upstream, _ROUTE))
        yield site


def _connect(site: Served, key: dict[str, str]) -> Any:
    return connect(f"ws://127.0.0.1:{site.port}/echo/ws", additional_headers=key, proxy=None)


async def _is_open(connection: ClientConnection) -> bool:
    await connection.send("hello")
    return await connection.recv() == "hello"


async def _new_key(gateway: Gateway, role: str = "member") -> tuple[str, dict[str, str]]:
    """The id and the header of another key of acme."""
    body = {"name": "socket", "role": role}
    made = await gateway.client.post("/v1/api-keys", json=body, headers=gateway.acme.key("admin"))
    assert made.status_code == 201, made.text
    return made.json()["id"], {"X-API-Key": made.json()["secret"]}


async def _new_role(gateway: Gateway, *permissions: str) -> tuple[str, str]:
    """Name and id of a role of acme."""
    body = {"name": "sockets", "permissions": permissions}
    made = await gateway.client.post("/v1/roles", json=body, headers=gateway.acme.key("admin"))
    assert made.status_code == 201, made.text
    return "sockets", made.json()["id"]


async def test_sockets_of_a_tenant_are_bounded_by_its_plan(site: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """PX12, TH7: each holds a permit as long as it is open, beyond the life of a lease; one more gets 429."""
    monkeypatch.setattr(concurrency, "PERMIT_TTL", 1.0)
    monkeypatch.setattr(concurrency, "_RENEW_AFTER", 0.3)
    gateway, member = site.gateway, site.gateway.acme.key("member")
    changed = await gateway.client.patch("/operator/v1/plans/scale", json={"concurrency": 2}, headers=gateway.operator)
    assert changed.status_code == 200
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(_connect(site, member)) for _ in range(2)]
        for _ in range(2):
            with pytest.raises(InvalidStatus) as refused:
                await stack.enter_async_context(_connect(site, member))
            assert refused.value.response.status_code == 429
            assert b"concurrency_limited" in (refused.value.response.body or b"")
            await asyncio.sleep(1.2)
        assert [await _is_open(each) for each in opened] == [True, True]
        assert len(gateway.services.proxy.sockets) == 2
        assert gateway.services.meter.in_flight == 0  # they are counted as requests when they are opened
        await opened[0].close()
        async with asyncio.timeout(5):
            while len(gateway.services.proxy.sockets) == 2:
                await _is_open(opened[1])
        assert await _is_open(await stack.enter_async_context(_connect(site, member)))


async def test_a_socket_needs_what_the_route_needs(site: Served) -> None:
    """PX12: without a credential, and without the permission, none is opened."""
    for key, status in (({}, 401), (site.gateway.acme.key("viewer"), 403)):
        with pytest.raises(InvalidStatus) as refused:
            async with _connect(site, key):
                pass
        assert refused.value.response.status_code == status


async def test_sockets_end_with_the_rights_that_opened_them(site: Served, upstream: str) -> None:
    """ID5: with 1008, within 2 s of the answer to a change of a role, a revocation, new routes or a suspension."""
    gateway, admin = site.gateway, site.gateway.acme.key("admin")
    key_id, key = await _new_key(gateway)
    role, narrow = await _new_role(gateway, "echo:use", "contacts:read")
    _, other_key = await _new_key(gateway, role)
    async with _connect(site, other_key) as narrowed:
        assert await _is_open(narrowed)
        path = f"/v1/roles/{narrow}"
        answer = await gateway.client.patch(path, json={"permissions": ["contacts:read"]}, headers=admin)
        assert answer.status_code == 200, answer.text
        assert await _closed(narrowed) == (1008, "forbidden")
    async with _connect(site, key) as revoked, _connect(site, gateway.acme.key("member")) as other:
        assert await _is_open(revoked)
        answer = await gateway.client.post(f"/v1/api-keys/{key_id}/revoke", headers=admin)
        assert answer.status_code == 204
        assert await _closed(revoked) == (1008, "credential_revoked")
        assert await _is_open(other)
        await apply(gateway, configuration_of(upstream, _ROUTE | {"cost": 2}))
        assert await _closed(other) == (1008, "route_changed")
    async with _connect(site, gateway.acme.key("member")) as suspended:
        path = f"/operator/v1/tenants/{show(TENANT, gateway.acme.ref.id)}/suspend"
        answer = await gateway.client.post(path, headers=gateway.operator)
        assert answer.is_success, answer.text
        assert await _closed(suspended) == (1008, "tenant_suspended")


async def _closed(connection: ClientConnection) -> tuple[int | None, str | None]:
    """Code and reason of the close, which comes in time."""
    async with asyncio.timeout(2):
        await connection.wait_closed()
    return connection.close_code, connection.close_reason
