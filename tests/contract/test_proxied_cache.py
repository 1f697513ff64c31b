"""The response cache from end to end: two workers, two tenants, one database, and an upstream that counts."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from tenants.identifiers import TENANT, show
from tests.fixtures.gateways import Gateway, GatewayFactory
from tests.fixtures.live_routes import Served, apply, configuration_of, served
from tests.fixtures.proxied import ScriptedUpstream, scripted

pytestmark = pytest.mark.anyio

_ANSWER = b"HTTP/1.1 200 OK\r\nCache-Control: public, max-age=600\r\nContent-Length: 2\r\n\r\nok"
_PURGE = "/operator/v1/cache/purge"
_PUBLIC: dict[str, Any] = {"name": "shop", "path": "/shop", "access": "public", "methods": ["GET"], "cache": {}}


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted() as running:
        running.script = _answering
        yield running


def _answering(visit: Any) -> None:
    while visit.request() is not None:
        visit.send(_ANSWER)
        visit.next()


@pytest.fixture
async def workers(gateways: GatewayFactory, upstream: ScriptedUpstream) -> AsyncIterator[list[Served]]:
    """Two, with the routes /echo, shared by the tenant, and /shop, shared by all without a credential."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(gateways()) for _ in range(2)]
        found = [await stack.enter_async_context(served(each)) for each in opened]
        await apply(opened[0], configuration_of(upstream.url, {"cache": {"shared_by": "tenant"}}, _PUBLIC))
        yield found


def _is_hit(answer: httpx.Response) -> bool:
    assert answer.status_code == 200, answer.text
    return answer.headers["cache-status"].startswith("tenantry; hit")


async def _fill(workers: list[Served], *paths: str) -> None:
    for worker in workers:
        for path in paths:
            await worker.get(path)
            assert _is_hit(await worker.get(path))


async def _of_globex(worker: Served, path: str) -> httpx.Response:
    return await worker.get(path, None, headers=worker.gateway.globex.key("member"))


async def _purge(gateway: Gateway, **body: Any) -> httpx.Response:
    return await gateway.client.post(_PURGE, json=body, headers=gateway.operator)


async def test_stored_answers_are_charged_and_admitted_as_all(
    workers: list[Served], upstream: ScriptedUpstream
) -> None:
    """IS1, TH1: each has the limits of its own request; who may not call the route, or is another tenant, gets none."""
    worker = workers[0]
    first, hit = await worker.get("/echo/a"), await worker.get("/echo/a", "admin")
    assert (_is_hit(first), _is_hit(hit), hit.text) == (False, True, "ok")
    left = [int(each.headers["ratelimit"].partition("r=")[2].partition(";")[0]) for each in (first, hit)]
    assert left[1] == left[0] - 1
    assert hit.headers["x-request-id"] != first.headers["x-request-id"]
    assert hit.headers["cache-control"] == "public, max-age=600"
    assert (await worker.get("/echo/a", "viewer")).status_code == 403
    assert (await worker.get("/echo/a", None)).status_code == 401
    assert not _is_hit(await _of_globex(worker, "/echo/a"))
    head = await worker.get("/echo/a", method="HEAD")
    assert (_is_hit(head), head.headers["content-length"], head.content) == (True, "2", b"")
    assert len(upstream.requests) == 2
    await worker.get("/shop/x", None)
    assert _is_hit(await worker.get("/shop/x", None))
    page = (await worker.gateway.client.get("/metrics")).text
    assert 'tenantry_proxy_cache_requests_total{outcome="hit"} 3.0' in page


async def test_a_purge_is_in_force_on_every_worker_when_it_is_answered(workers: list[Served]) -> None:
    """ID14, AU1: what it names, for the tenant that it names; and it is in the operators' log."""
    one, other = workers
    acme = one.gateway.acme
    await _fill(workers, "/echo/a", "/echo/a/b", "/echo/c")
    for worker in workers:
        await _of_globex(worker, "/echo/a")
    purged = await _purge(one.gateway, route="echo", tenant=show(TENANT, acme.ref.id), path_prefix="/echo/a")
    assert (purged.status_code, purged.content) == (204, b"")
    for worker in workers:
        assert not _is_hit(await worker.get("/echo/a"))
        assert not _is_hit(await worker.get("/echo/a/b"))
        assert _is_hit(await worker.get("/echo/c"))
        assert _is_hit(await _of_globex(worker, "/echo/a"))
    assert (await _purge(other.gateway, tenant=acme.ref.slug, path="/echo/c")).status_code == 204
    assert not any([_is_hit(await worker.get("/echo/c")) for worker in workers])
    assert (await _purge(one.gateway)).status_code == 204
    assert not any([_is_hit(await _of_globex(worker, "/echo/a")) for worker in workers])
    log = await one.gateway.client.get("/operator/v1/audit-events", headers=one.gateway.operator)
    rows = [each for each in log.json()["data"] if each["action"] == "cache.purged"]
    assert [each["object"] for each in rows] == ["*", "*", "echo"]
    assert rows[2]["after"] == {"route": "echo", "tenant": str(acme.ref.id), "path_prefix": "/echo/a"}


async def test_a_changed_route_and_a_changed_tenant_start_anew(workers: list[Served]) -> None:
    """ID14: nothing that was stored before is used when the change is answered."""
    one, _ = workers
    await _fill(workers, "/echo/a", "/shop/a")
    url = one.gateway.services.proxy.upstreams["echo"].spec.targets[0].url
    changed = {"cache": {"shared_by": "tenant"}, "server_timing": True}
    await apply(one.gateway, configuration_of(url, changed, _PUBLIC))
    assert not any([_is_hit(await worker.get("/echo/a")) for worker in workers])
    assert all([_is_hit(await worker.get("/shop/a")) for worker in workers])
    suspended = f"/operator/v1/tenants/{show(TENANT, one.gateway.acme.ref.id)}"
    for action in ("suspend", "resume"):
        body = {"reason": "a test"} if action == "suspend" else None
        response = await one.gateway.client.post(f"{suspended}/{action}", json=body, headers=one.gateway.operator)
        assert response.status_code == 200, response.text
    await one.gateway.services.features.confirmations.confirm()
    assert not any([_is_hit(await worker.get("/echo/a")) for worker in workers])


_REFUSED = [
    ({"route": "none"}, "/route"),
    ({"route": "Echo!"}, "/route"),
    ({"tenant": "nowhere"}, "/tenant"),
    ({"path": "echo"}, "/path"),
    ({"path_prefix": "/" + "a" * 1_000}, "/path_prefix"),
    ({"path": "/a", "path_prefix": "/a"}, ""),
    ({"paths": "/a"}, "/paths"),
]


async def test_a_purge_that_names_nothing_is_refused(gateway: Gateway) -> None:
    """A misspelt member, or name, purges neither all nor nothing; and only operators who administer purge."""
    for body, pointer in _REFUSED:
        answer = await _purge(gateway, **body)
        assert answer.status_code == 422
        assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    refused = await gateway.client.post(_PURGE, json={}, headers=gateway.acme.key("owner"))
    assert refused.status_code in {401, 403}
