"""PostgreSQL stopped, hanging, and back: cached credentials work for a while, and an outage is never a 401."""

import asyncio
import time
from typing import Any

import httpx
import psycopg
import pytest

from gateway.development.postgres import LocalPostgres
from gateway.identity.cache import MAX_STALENESS
from tenants.database.confirmations import BOUND
from tenants.secrets.tokens import SecretKind, generate
from tests.fixtures.gateways import PASSWORD, Gateway, Template, make_template, running_gateway
from tests.fixtures.servers import PostgresFactory

pytestmark = pytest.mark.anyio
_ME = "/v1/me"


@pytest.fixture
def server(start_postgres: PostgresFactory) -> LocalPostgres:
    return start_postgres()


@pytest.fixture
def template(server: LocalPostgres) -> Template:
    return make_template(server)


async def _ask(gateway: Gateway, credential: str) -> httpx.Response:
    return await gateway.client.get(_ME, headers={"Authorization": f"Bearer {credential}"})


async def _log_in(gateway: Gateway, role: str) -> dict[str, Any]:
    wanted = {"email": gateway.acme.emails[role], "password": PASSWORD, "tenant": "acme"}
    grant: dict[str, Any] = (await gateway.client.post("/v1/auth/login", json=wanted)).json()
    return grant


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


async def test_without_the_database_unknown_credentials_are_503_and_cached_ones_work_for_a_while(
    server: LocalPostgres, template: Template
) -> None:
    """Cached: ok for at most the staleness bound, then 503. Unknown: 503, never 401."""
    async with running_gateway(template, template.urls) as gateway:
        warm, cold = gateway.acme.keys["admin"], gateway.acme.keys["viewer"]
        person, other = await _log_in(gateway, "owner"), await _log_in(gateway, "member")
        for credential in (warm, person["access_token"]):
            assert (await _ask(gateway, credential)).status_code == 200
        server.stop()
        stopped = time.monotonic()
        for unknown in (cold, generate(SecretKind.LIVE), generate(SecretKind.OPERATOR), other["access_token"]):
            answer = await _ask(gateway, unknown)
            assert _code(answer) == (503, "unavailable")
            assert int(answer.headers["retry-after"]) >= 1
        for bad in ("tn_live_x", warm[:-1] + ("a" if warm[-1] != "a" else "b"), f"{person['access_token'][:-4]}AAAA"):
            assert _code(await _ask(gateway, bad)) == (401, "credential_invalid")
        for path in ("login", "refresh"):
            body = {"email": "a@b", "password": "x", "tenant": "acme"} if path == "login" else {}
            sent = body or {"refresh_token": person["refresh_token"]}
            assert _code(await gateway.client.post(f"/v1/auth/{path}", json=sent)) == (503, "unavailable")
        for credential in (warm, person["access_token"]):
            assert (await _ask(gateway, credential)).status_code == 200
        assert time.monotonic() - stopped < MAX_STALENESS - 1, "this machine is too slow for what is tested"
        await asyncio.sleep(MAX_STALENESS - (time.monotonic() - stopped) + 0.1)
        for credential in (warm, person["access_token"]):
            assert _code(await _ask(gateway, credential)) == (503, "unavailable")
        server.start()
        async with asyncio.timeout(2):  # OP3
            while (await _ask(gateway, warm)).status_code != 200:  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.02)
        assert (await _ask(gateway, cold)).status_code == 200
        assert (await _ask(gateway, person["access_token"])).status_code == 200
        await _revoke_after_a_crash(gateway, server, cold)


async def _revoke_after_a_crash(gateway: Gateway, server: LocalPostgres, key: str) -> None:
    """ID14: a crash empties the rows of the workers, which trust their caches on: the answer does without the rows."""
    keys = (await gateway.client.get("/v1/api-keys?limit=100", headers=gateway.acme.key("admin"))).json()["data"]
    (revoked,) = [each["id"] for each in keys if each["last4"] == key[-4:]]
    server.kill()
    server.start()
    began = time.monotonic()
    async with asyncio.timeout(5):
        while (await _revoke(gateway, revoked)) != 204:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.02)
    assert time.monotonic() - began >= BOUND
    assert _code(await _ask(gateway, key)) == (401, "credential_revoked")


async def _revoke(gateway: Gateway, key: str) -> int:
    answer = await gateway.client.post(f"/v1/api-keys/{key}/revoke", headers=gateway.acme.key("admin"))
    return answer.status_code


async def test_a_hanging_database_hangs_no_request(server: LocalPostgres, template: Template) -> None:
    """OP3: hanging counts as down; an unknown credential is 503 within 5 s, a warm one works meanwhile."""
    async with running_gateway(template, template.urls) as gateway:
        warm, cold = gateway.acme.keys["admin"], gateway.acme.keys["viewer"]
        assert (await _ask(gateway, warm)).status_code == 200
        server.pause()
        began = time.monotonic()
        unknown = [asyncio.create_task(_ask(gateway, key)) for key in (cold, cold, generate(SecretKind.LIVE))]
        await asyncio.sleep(0.2)
        assert (await _ask(gateway, warm)).status_code == 200
        answers = await asyncio.gather(*unknown)
        assert {_code(answer) for answer in answers} == {(503, "unavailable")}
        assert time.monotonic() - began < 5
        server.resume()
        async with asyncio.timeout(4):
            while (await _ask(gateway, cold)).status_code != 200:  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.05)


async def test_a_change_while_the_listener_is_disconnected_applies_once_it_is_back(gateway: Gateway) -> None:
    """ID4: the listener's connection is killed at the moment of a revocation."""
    key = gateway.acme.keys["viewer"]
    for _ in range(5):
        assert (await _ask(gateway, key)).status_code == 200
        with psycopg.connect(gateway.urls.superuser, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                " AND usename = 'tenantry_gateway'",
                (gateway.urls.name,),
            )
            connection.execute("UPDATE tenantry.api_keys SET revoked_at = now() WHERE name = 'the viewer key'")
        async with asyncio.timeout(1):
            while (await _ask(gateway, key)).status_code != 401:  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.002)
        with psycopg.connect(gateway.urls.superuser, autocommit=True) as connection:
            connection.execute("UPDATE tenantry.api_keys SET revoked_at = NULL WHERE name = 'the viewer key'")
        async with asyncio.timeout(1):
            while (await _ask(gateway, key)).status_code != 200:  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.002)
