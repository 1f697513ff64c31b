"""Proxied routes from end to end: a served gateway, its database, and an upstream that records what it gets."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.fixtures.gateways import GatewayFactory
from tests.fixtures.proxied import ScriptedUpstream, scripted
from tests.fixtures.live_routes import Served, apply, configuration_of, served

pytestmark = pytest.mark.anyio


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


async def test_a_request_with_a_key_of_the_role_reaches_the_upstream(site: Served, upstream: ScriptedUpstream) -> None:
    """PX3, PX4: with the identity and without the credential; others are refused before it, as on any route."""
    answer = await site.get("/echo/a/b?c=d")
    assert (answer.status_code, answer.text) == (200, "ok")
    assert "x-request-id" in answer.headers
    assert "ratelimit" in answer.headers
    (request,) = upstream.requests
    assert (request.method, request.target) == ("GET", "/echo/a/b?c=d")
    assert request.field("tenantry-identity")
    assert "x-api-key" not in request.names
    statuses = [
        (await site.get(path, role)).status_code
        for path, role in (
            ("/echo", "viewer"),
            ("/echo", None),
            ("/other", "member"),
            ("/echo/%2e%2e/x", "member"),
        )
    ]
    assert statuses == [403, 401, 404, 404]
    assert (await site.get("/echo", headers={"X-API-Key": "tn_live_none"})).status_code == 401
    assert len(upstream.requests) == 1
