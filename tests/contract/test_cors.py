"""Cross-origin requests: closed by default, open to the origins of the deployment and of the tenant that is asked."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest

from gateway.development.postgres import LocalPostgres
from gateway.development.redis import LocalRedis
from tests.fixtures.billing import eventually_so
from tests.fixtures.gateways import Gateway, GatewayFactory, SeededTenant, Template, make_template, running_gateway
from tests.fixtures.servers import PostgresFactory, RedisFactory

pytestmark = pytest.mark.anyio

_FRONT_END, _ACMES, _GLOBEXS = "https://console.example.com", "https://app.acme.example", "https://globex.example:8443"
_FOREIGN = "https://evil.example"
_CONTACTS = "/v1/contacts"
_READABLE = {"ratelimit", "ratelimit-policy", "retry-after", "x-request-id", "etag", "location", "idempotent-replayed"}
_READABLE |= {"deprecation", "sunset"}


async def _allow(gateway: Gateway, tenant: SeededTenant, *origins: str) -> None:
    body = {"allowed_origins": list(origins)}
    changed = await gateway.client.patch("/v1/tenant", json=body, headers=tenant.key("owner"))
    assert (changed.status_code, changed.json()["allowed_origins"]) == (200, list(origins))


async def _preflight(gateway: Gateway, origin: str, path: str = _CONTACTS, method: str = "GET") -> httpx.Response:
    fields = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    return await gateway.client.request("OPTIONS", path, headers=fields)


async def _until_preflight(gateway: Gateway, origin: str, status: int, seconds: float = 2.0) -> None:
    async def answered() -> bool:
        return (await _preflight(gateway, origin)).status_code == status

    await eventually_so(answered, seconds)


def _is_open(answer: httpx.Response, origin: str) -> bool:
    """Whether a page of this origin may read the answer. An answer has all fields or none of them."""
    present = {name for name in answer.headers if name.startswith("access-control-")}
    if not present:
        return False
    assert "access-control-allow-credentials" not in present
    assert answer.headers["access-control-allow-origin"] == origin
    assert "Origin" in answer.headers["vary"]
    exposed = {each.strip().lower() for each in answer.headers["access-control-expose-headers"].split(",")}
    assert exposed == _READABLE
    return True


@pytest.fixture
async def open_gateway(gateways: GatewayFactory) -> AsyncIterator[Gateway]:
    """A gateway with a front end of the deployment, and an origin of each tenant."""
    async with gateways(cors_origins=[_FRONT_END]) as gateway:
        await _allow(gateway, gateway.acme, _ACMES)
        await _allow(gateway, gateway.globex, _GLOBEXS)
        await _until_preflight(gateway, _GLOBEXS, 204)
        yield gateway


async def test_closed_by_default(gateway: Gateway) -> None:
    """Without an allowed origin every request is served as usual, and no page can read the answer."""
    for headers in (gateway.acme.key(), {"X-API-Key": "tn_live_x"}, {}):
        answer = await gateway.client.get(_CONTACTS, headers={**headers, "Origin": _FOREIGN})
        assert not _is_open(answer, _FOREIGN)
        assert "vary" not in answer.headers
    assert (await gateway.client.get(_CONTACTS, headers={**gateway.acme.key(), "Origin": _FOREIGN})).status_code == 200
    refused = await _preflight(gateway, _FOREIGN)
    assert (refused.status_code, _is_open(refused, _FOREIGN)) == (405, False)


async def test_a_preflight_is_permitted_by_its_origin(open_gateway: Gateway) -> None:
    """Nothing is charged and nothing counted: it has no credential."""
    for path, method in (
        (_CONTACTS, "POST"),
        ("/v1/contacts/contact_1", "PATCH"),
        (_CONTACTS, "PUT"),  # not offered: the request gets a 405 that the page can read
        ("/v1/nothing", "GET"),  # unknown: the same with 404
        ("/v1/auth/login", "POST"),
        ("/.well-known/jwks.json", "GET"),
    ):
        answer = await _preflight(open_gateway, _ACMES, path, method)
        assert (answer.status_code, _is_open(answer, _ACMES), answer.content) == (204, True, b""), path
        assert method in answer.headers["access-control-allow-methods"].split(", ")
        allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
        assert {"authorization", "x-api-key", "content-type", "if-match", "idempotency-key"} <= set(allowed)
        assert answer.headers["access-control-max-age"] == "600"
        assert "ratelimit" not in answer.headers


async def test_operators_and_operations_are_closed_to_every_page(open_gateway: Gateway) -> None:
    headers = {**open_gateway.operator, "Origin": _FRONT_END}
    for path, method in (
        ("/operator/v1/tenants", "GET"),
        ("/operator/v1/tenants", "PUT"),
        ("/operator/openapi.json", "GET"),
        ("/webhooks/stripe", "POST"),
        ("/livez", "GET"),
        ("/metrics", "GET"),
    ):
        refused = await _preflight(open_gateway, _FRONT_END, path, method)
        assert (refused.status_code, _is_open(refused, _FRONT_END)) == (405, False), path
        assert not _is_open(await open_gateway.client.request(method, path, headers=headers), _FRONT_END)


async def test_a_page_reads_its_own_tenants_answers_and_no_others(open_gateway: Gateway) -> None:
    """IS7: another tenant's page cannot read them even with a stolen key, suspended or not."""
    client, key = open_gateway.client, open_gateway.acme.key()
    for origin, opened in ((_ACMES, True), (_FRONT_END, True), (_GLOBEXS, False), (_FOREIGN, False)):
        answer = await client.get(_CONTACTS, headers={**key, "Origin": origin})
        assert (answer.status_code, _is_open(answer, origin)) == (200, opened)
    tenant = (await client.get("/v1/me", headers=key)).json()["tenant"]["id"]
    await client.post(f"/operator/v1/tenants/{tenant}/suspend", headers=open_gateway.operator)
    await open_gateway.catch_up()
    for origin, opened in ((_ACMES, True), (_GLOBEXS, False)):
        answer = await client.get(_CONTACTS, headers={**key, "Origin": origin})
        assert (answer.status_code, _is_open(answer, origin)) == (403, opened)
    staff = await client.get(_CONTACTS, headers={**open_gateway.operator, "Origin": _ACMES})
    assert (staff.status_code, _is_open(staff, _ACMES)) == (403, False)


async def test_every_answer_to_an_allowed_origin_can_be_read(open_gateway: Gateway) -> None:
    """Errors too: a page shows what was wrong, and waits as long as Retry-After says."""
    client, key = open_gateway.client, open_gateway.acme.key()
    page = {"Origin": _ACMES, "Content-Type": "application/json"}

    async def status(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> int:
        answer = await client.request(method, path, headers={**page, **headers}, content=body)
        assert _is_open(answer, _ACMES), (answer.status_code, path)
        return answer.status_code

    assert await status("POST", _CONTACTS, key, b'{"name": "Ann"}') == 201
    assert await status("POST", _CONTACTS, key, b"{") == 400
    assert await status("GET", _CONTACTS, {}) == 401
    assert await status("GET", _CONTACTS, {"X-API-Key": "tn_live_x"}) == 401
    assert await status("DELETE", "/v1/contacts/contact_1", open_gateway.acme.key("viewer")) == 403
    assert await status("GET", "/v1/contacts/contact_1", key) == 404
    assert await status("GET", "/v1/nothing", {}) == 404
    assert await status("PUT", _CONTACTS, key) == 405
    assert await status("POST", "/v1/auth/logout", {}, b" " * 9_000) == 413
    assert await status("POST", _CONTACTS, key, b"{}") == 422
    assert await status("GET", "/.well-known/jwks.json", {}) == 200


async def test_a_429_can_be_read(gateways: GatewayFactory) -> None:
    """TH6: with the fields that say when to come back."""
    async with gateways(cors_origins=[_FRONT_END], principal_management_requests=1) as gateway:
        headers = {**gateway.acme.key(), "Origin": _FRONT_END}
        answers = [await gateway.client.get("/v1/me", headers=headers) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429]
        assert all(_is_open(answer, _FRONT_END) for answer in answers)
        assert {"ratelimit", "retry-after"} <= set(answers[1].headers)


async def test_an_origin_is_allowed_and_removed_on_every_worker(gateways: GatewayFactory) -> None:
    """ID4: without a restart. An unchanged tenant keeps its own."""
    async with gateways() as one, gateways() as other:
        await _allow(one, one.globex, _GLOBEXS)
        await _allow(one, one.acme, _ACMES)
        await asyncio.gather(_until_preflight(one, _ACMES, 204), _until_preflight(other, _ACMES, 204))
        await _until_preflight(other, _GLOBEXS, 204)
        await _allow(one, one.acme)
        began = time.monotonic()
        await _until_preflight(other, _ACMES, 405, 1.0)
        assert time.monotonic() - began < 1.0
        answer = await other.client.get(_CONTACTS, headers={**other.acme.key(), "Origin": _ACMES})
        assert not _is_open(answer, _ACMES)
        assert (await _preflight(other, _GLOBEXS)).status_code == 204


async def test_a_change_is_in_force_without_notifications(gateways: GatewayFactory) -> None:
    """ID4: with the channel dead, all origins are read each second."""
    async with gateways() as one, gateways() as other:
        await other.services.listener.close()
        await _allow(one, one.acme, _ACMES)
        await _until_preflight(other, _ACMES, 204, 5.0)


@pytest.fixture
def stores(start_postgres: PostgresFactory, start_redis: RedisFactory) -> tuple[LocalPostgres, LocalRedis, Template]:
    """Servers that the test may stop."""
    postgres = start_postgres()
    return postgres, start_redis(), make_template(postgres)


async def test_a_preflight_needs_no_store(stores: tuple[LocalPostgres, LocalRedis, Template]) -> None:
    """OP3: PostgreSQL and Redis are stopped. A 503 can be read by the page."""
    postgres, redis, template = stores
    async with running_gateway(template, template.urls, redis_url=redis.url) as gateway:
        await _allow(gateway, gateway.acme, _ACMES)
        await _until_preflight(gateway, _ACMES, 204)
        loads = gateway.services.principals.loads
        postgres.stop()
        redis.stop()
        began = time.monotonic()
        for path in (_CONTACTS, "/v1/nothing", "/v1/auth/login"):
            assert (await _preflight(gateway, _ACMES, path)).status_code == 204
        assert (await _preflight(gateway, _FOREIGN)).status_code == 405
        assert (gateway.services.principals.loads, time.monotonic() - began < 0.5) == (loads, True)
        down = await gateway.client.get(_CONTACTS, headers={**gateway.acme.key("viewer"), "Origin": _ACMES})
        assert (down.status_code, _is_open(down, _ACMES)) == (503, True)


async def test_origins_are_checked_and_kept_in_canonical_form(gateway: Gateway) -> None:
    """AZ7: each once."""
    owner = gateway.acme.key("owner")
    for origins, pointer, code in (
        (["https://app.example.com/"], "/allowed_origins/0", "bad_origin"),
        (["https://a.example", "*"], "/allowed_origins/1", "bad_origin"),
        (["http://app.example.com"], "/allowed_origins/0", "insecure_origin"),
        ([f"https://{number}.a.example" for number in range(21)], "/allowed_origins", "too_long"),
        (None, "/allowed_origins", "wrong_type"),
        ([None], "/allowed_origins/0", "wrong_type"),
    ):
        refused = await gateway.client.patch("/v1/tenant", json={"allowed_origins": origins}, headers=owner)
        assert refused.status_code == 422
        assert [(each["pointer"], each["code"]) for each in refused.json()["errors"]] == [(pointer, code)]
    body = {"allowed_origins": ["HTTPS://App.example.com:443", "https://app.example.com"]}
    changed = await gateway.client.patch("/v1/tenant", json=body, headers=owner)
    assert changed.json()["allowed_origins"] == ["https://app.example.com"]
