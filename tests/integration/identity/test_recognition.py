"""Credentials over HTTP: which are accepted, how others are refused, and how soon a change takes effect."""

import asyncio
import base64
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from tenants.audit.origin import SYSTEM
from tenants.identifiers import API_KEY, new_id, read
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.tokens import SecretKind, generate, last4_of, prefix_of
from tenants.settings import Pepper
from tests.fixtures.gateways import ADMIN_OPERATOR, PASSWORD, Gateway, GatewayFactory

pytestmark = pytest.mark.anyio
_ME = "/v1/me"
_USER = "(SELECT id FROM tenantry.users WHERE email = 'admin@acme.example')"
_END_MEMBERSHIP = f"DELETE FROM tenantry.memberships WHERE user_id = {_USER}"  # noqa: S608 - a constant
_MAKE_VIEWER = f"UPDATE tenantry.memberships SET roles = '{{viewer}}' WHERE user_id = {_USER}"  # noqa: S608


def _bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


async def _execute(gateway: Gateway, statement: str, *values: object) -> None:
    """Change a row in the database, as its owner."""
    async with await psycopg.AsyncConnection.connect(gateway.urls.owner, autocommit=True) as connection:
        await connection.execute(statement.encode(), values)


async def _log_in(gateway: Gateway, role: str = "admin") -> dict[str, Any]:
    wanted = {"email": gateway.acme.emails[role], "password": PASSWORD, "tenant": "acme"}
    answer = await gateway.client.post("/v1/auth/login", json=wanted)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def _until(ask: Callable[[], Awaitable[httpx.Response]], status: int, seconds: float = 1.0) -> float:
    """Seconds until the response has this status; fails when that takes longer than ID4's maximum."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while (await ask()).status_code != status:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)
    return time.monotonic() - began


async def test_a_key_is_read_from_either_header_and_from_both_when_equal(gateway: Gateway) -> None:
    """Authorization: Bearer, or X-API-Key."""
    key = gateway.acme.keys["viewer"]
    for headers in (_bearer(key), {"X-API-Key": key}, {**_bearer(key), "X-API-Key": key}):
        answer = await gateway.client.get(_ME, headers=headers)
        assert answer.status_code == 200
        assert answer.json()["principal"]["roles"] == ["viewer"]


async def test_bad_credentials_are_401_with_the_reason(gateway: Gateway) -> None:
    """The codes of docs/api.md."""
    key, other = gateway.acme.keys["admin"], gateway.globex.keys["admin"]
    refused: list[tuple[dict[str, str], str]] = [
        ({}, "credential_missing"),
        ({**_bearer(key), "X-API-Key": other}, "credential_invalid"),
        (_bearer(key[:-1] + ("a" if key[-1] != "a" else "b")), "credential_invalid"),
        (_bearer(generate(SecretKind.LIVE)), "credential_invalid"),
        (_bearer(generate(SecretKind.OPERATOR)), "credential_invalid"),
        (_bearer(generate(SecretKind.REFRESH)), "credential_invalid"),
        (_bearer("a.b.c"), "credential_invalid"),
        ({"Authorization": f"Basic {key}"}, "credential_invalid"),
        ({"X-API-Key": ""}, "credential_invalid"),
    ]
    for headers, code in refused:
        answer = await gateway.client.get(_ME, headers=headers)
        assert _code(answer) == (401, code)
        assert key not in answer.text


async def test_a_refusal_says_whether_the_key_has_expired_or_was_revoked(gateway: Gateway) -> None:
    """credential_expired and credential_revoked, also when it was good a moment ago."""
    for column, code in (("expires_at", "credential_expired"), ("revoked_at", "credential_revoked")):
        made = await gateway.client.post(
            "/v1/api-keys", json={"name": "short", "role": "viewer"}, headers=gateway.acme.key("admin")
        )
        headers = {"X-API-Key": made.json()["secret"]}
        assert (await gateway.client.get(_ME, headers=headers)).status_code == 200
        await _execute(
            gateway,
            f"UPDATE tenantry.api_keys SET {column} = now() WHERE id = %s",  # noqa: S608 - our own column names
            read(API_KEY, made.json()["id"]),
        )
        await _until(lambda headers=headers: gateway.client.get(_ME, headers=headers), 401)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        for _ in range(2):  # loaded, then cached as refused
            assert _code(await gateway.client.get(_ME, headers=headers)) == (401, code)


async def test_a_warm_key_expires_without_a_notification(gateway: Gateway) -> None:
    """A cached credential expires on time."""
    soon = (datetime.now(UTC) + timedelta(seconds=1.2)).isoformat()
    made = await gateway.client.post(
        "/v1/api-keys", json={"name": "x", "role": "viewer", "expires_at": soon}, headers=gateway.acme.key("admin")
    )
    headers = {"X-API-Key": made.json()["secret"]}
    assert (await gateway.client.get(_ME, headers=headers)).status_code == 200
    await _until(lambda: gateway.client.get(_ME, headers=headers), 401, 3)
    assert _code(await gateway.client.get(_ME, headers=headers)) == (401, "credential_expired")


async def test_a_key_works_only_from_its_networks(gateway: Gateway) -> None:
    """ip_not_allowed. The test's client has 127.0.0.1."""
    for network, status in (("127.0.0.0/8", 200), ("10.0.0.0/8", 403), ("::1/128", 403)):
        wanted = {"name": "n", "role": "viewer", "allowed_cidrs": [network]}
        made = await gateway.client.post("/v1/api-keys", json=wanted, headers=gateway.acme.key("admin"))
        answer = await gateway.client.get(_ME, headers={"X-API-Key": made.json()["secret"]})
        assert answer.status_code == status
        assert status == 200 or answer.json()["code"] == "ip_not_allowed"


async def test_a_refused_key_works_as_soon_as_it_is_created(gateway: Gateway) -> None:
    """ID4: a refusal never outlives the creation of the key."""
    secret = generate(SecretKind.LIVE)
    headers = {"X-API-Key": secret}
    assert _code(await gateway.client.get(_ME, headers=headers)) == (401, "credential_invalid")
    digest = gateway.services.features.hasher.digest(secret)
    await _execute(
        gateway,
        "INSERT INTO tenantry.api_keys (id, tenant_id, name, role, prefix, last4, digest, pepper_version)"
        " VALUES (%s, %s, 'late', 'viewer', %s, %s, %s, %s)",
        new_id(),
        gateway.acme.ref.id,
        prefix_of(secret, SecretKind.LIVE),
        last4_of(secret),
        digest.value,
        digest.pepper_version,
    )
    await _until(lambda: gateway.client.get(_ME, headers=headers), 200)


async def test_keys_keep_working_while_a_pepper_is_rotated(gateways: GatewayFactory) -> None:
    """ID2: old hashes are recognised and renewed at their next use; then the old pepper can go."""
    old, new = base64.b64encode(bytes(range(32))).decode(), base64.b64encode(b"n" * 32).decode()
    async with gateways(key_peppers=f"2:{new},1:{old}") as gateway:
        key, operator = gateway.acme.keys["viewer"], gateway.operator
        assert (await gateway.client.get(_ME, headers=_bearer(key))).status_code == 200
        assert (await gateway.client.get("/operator/v1/tenants", headers=operator)).status_code == 200
        hasher = SecretHasher([Pepper(2, b"n" * 32)])
        for secret, service in (
            (key, gateway.services.features.api_keys),
            (operator["X-API-Key"], gateway.services.features.operator_keys),
        ):
            row = (await service.recognise(gateway.services.database, [secret]))[secret]
            assert (row.pepper_version, row.digest) == (2, hasher.digest(secret).value)
    async with gateways(key_peppers=f"2:{new}") as later:
        assert (await later.client.get(_ME, headers=_bearer(key))).status_code == 200
        assert _code(await later.client.get(_ME, headers=_bearer(later.acme.keys["admin"])))[0] == 401


async def test_gateways_with_either_pepper_first_serve_side_by_side(gateways: GatewayFactory) -> None:
    """ID2: during a restart a key is rehashed to and fro and recognised by all; one never used needs the old pepper."""
    old, new = base64.b64encode(bytes(range(32))).decode(), base64.b64encode(b"n" * 32).decode()
    async with gateways(key_peppers=f"1:{old},2:{new}") as first, gateways(key_peppers=f"2:{new},1:{old}") as second:
        used, unused = _bearer(first.acme.keys["viewer"]), _bearer(first.acme.keys["member"])
        for gateway, version in ((second, 2), (first, 1), (second, 2)):
            assert (await gateway.client.get(_ME, headers=used)).status_code == 200
            await first.catch_up()
            await second.catch_up()
            async with gateway.services.database.control() as session:
                found = await gateway.services.features.api_keys.count_by_pepper(session)
            assert found.get(version, 0) >= 1
        assert found[2] == 1
        assert (await first.client.get(_ME, headers=unused)).status_code == 200
        assert (await second.client.get(_ME, headers=_bearer(first.acme.keys["admin"]))).status_code == 200


async def test_no_usable_secret_is_stored(gateway: Gateway) -> None:
    """ID2: a dump of the database contains no secret, not even of sessions."""
    grant = await _log_in(gateway)
    secrets = [*gateway.acme.keys.values(), gateway.operator["X-API-Key"], grant["refresh_token"], PASSWORD]
    refreshed = await gateway.client.post("/v1/auth/refresh", json={"refresh_token": grant["refresh_token"]})
    secrets += [refreshed.json()["refresh_token"], refreshed.json()["access_token"]]
    with psycopg.connect(gateway.urls.owner) as connection:
        dump = b""
        for table in ("api_keys", "operator_keys", "refresh_tokens", "users"):
            with connection.cursor().copy(f"COPY tenantry.{table} TO STDOUT".encode()) as copy:
                dump += b"".join(bytes(chunk) for chunk in copy)
    assert b"$argon2id$" in dump
    for secret in secrets:
        assert secret.encode() not in dump
        assert secret.encode().hex().encode() not in dump


async def test_a_wrong_checksum_queries_neither_the_database_nor_redis(gateway: Gateway) -> None:
    """ID1: without the database it is still 401, where a well-formed key is 503."""
    key = generate(SecretKind.LIVE)
    with psycopg.connect(gateway.urls.superuser, autocommit=True) as connection:
        connection.execute("ALTER ROLE tenantry_gateway CONNECTION LIMIT 0")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tenantry_gateway'")
        try:
            wrong = _bearer(key[:-1] + ("a" if key[-1] != "a" else "b"))
            assert _code(await gateway.client.get(_ME, headers=_bearer(key))) == (503, "unavailable")
            assert _code(await gateway.client.get(_ME, headers=wrong)) == (401, "credential_invalid")
        finally:
            connection.execute("ALTER ROLE tenantry_gateway CONNECTION LIMIT -1")


async def test_operator_routes_require_an_operator_key(gateway: Gateway) -> None:
    """AZ1: and tenants' routes refuse it."""
    assert (await gateway.client.get("/operator/v1/tenants", headers=gateway.operator)).status_code == 200
    assert _code(await gateway.client.get(_ME, headers=gateway.operator)) == (403, "forbidden")
    for role in gateway.acme.keys:
        answer = await gateway.client.get("/operator/v1/tenants", headers=gateway.acme.key(role))
        assert _code(answer) == (403, "forbidden")
    assert _code(await gateway.client.get("/operator/v1/tenants")) == (401, "credential_missing")


async def test_a_revoked_operator_key_is_refused_at_once(gateway: Gateway) -> None:
    """ID4 for operators."""
    async with gateway.services.database.control() as session:
        made = await gateway.services.features.operator_keys.create(session, ADMIN_OPERATOR, origin=SYSTEM)
    headers = _bearer(made.secret)
    assert (await gateway.client.get("/operator/v1/tenants", headers=headers)).status_code == 200
    async with gateway.services.database.control() as session:
        await gateway.services.features.operator_keys.revoke(session, made.key.id, origin=SYSTEM)
    await _until(lambda: gateway.client.get("/operator/v1/tenants", headers=headers), 401)
    assert _code(await gateway.client.get("/operator/v1/tenants", headers=headers)) == (401, "credential_revoked")


async def test_a_revoked_key_is_refused_by_every_worker_at_once(gateways: GatewayFactory) -> None:
    """ID4: on two workers; p99 50 ms and max 1 s are what the benchmark measures, the order of magnitude is guarded."""
    async with gateways() as one, gateways() as other:
        seconds = []
        for _ in range(10):
            made = await one.client.post(
                "/v1/api-keys", json={"name": "r", "role": "viewer"}, headers=one.acme.key("admin")
            )
            headers = {"X-API-Key": made.json()["secret"]}
            for worker in (one, other):
                assert (await worker.client.get(_ME, headers=headers)).status_code == 200
            revoked = await one.client.post(f"/v1/api-keys/{made.json()['id']}/revoke", headers=one.acme.key("admin"))
            assert revoked.status_code == 204
            for worker in (one, other):
                ask = _asking(worker, headers)
                seconds.append(await _until(ask, 401))
                assert _code(await ask()) == (401, "credential_revoked")
        assert statistics.median(seconds) < 0.25


def _asking(worker: Gateway, headers: dict[str, str]) -> Callable[[], Awaitable[httpx.Response]]:
    return lambda: worker.client.get(_ME, headers=headers)


@pytest.mark.parametrize(
    ("statement", "status", "code"),
    [
        ("UPDATE tenantry.users SET disabled_at = now() WHERE email = 'admin@acme.example'", 401, "credential_revoked"),
        (_END_MEMBERSHIP, 401, "credential_revoked"),
        ("DELETE FROM tenantry.users WHERE email = 'admin@acme.example'", 401, "credential_revoked"),
        ("UPDATE tenantry.tenants SET status = 'suspended' WHERE slug = 'acme'", 403, "tenant_suspended"),
    ],
)
async def test_a_user_who_loses_access_is_refused_by_every_worker(
    gateways: GatewayFactory, statement: str, status: int, code: str
) -> None:
    """ID4: disabled user, removed membership, suspended tenant: at once, before the token expires."""
    async with gateways() as one, gateways() as other:
        headers = _bearer((await _log_in(one))["access_token"])
        for worker in (one, other):
            assert (await worker.client.get(_ME, headers=headers)).status_code == 200
        await _execute(one, statement)
        for worker in (one, other):
            await _until(_asking(worker, headers), status)
            assert _code(await worker.client.get(_ME, headers=headers)) == (status, code)


async def test_a_changed_role_and_a_changed_plan_take_effect_on_every_worker(gateways: GatewayFactory) -> None:
    """ID4: roles are not in the token; the plan is not in the key."""
    async with gateways() as one, gateways() as other:
        headers = _bearer((await _log_in(one))["access_token"])
        for worker in (one, other):
            assert (await worker.client.get(_ME, headers=headers)).json()["principal"]["roles"] == ["admin"]
        await _execute(one, _MAKE_VIEWER)
        for worker in (one, other):
            await _until(_listing(worker, headers), 403)
        await _execute(one, "UPDATE tenantry.tenants SET plan_code = 'pro' WHERE slug = 'acme'")
        for worker in (one, other):
            async with asyncio.timeout(1):
                while await _plan(worker, headers) != "pro":  # noqa: ASYNC110 - there is no event to wait for
                    await asyncio.sleep(0.001)


async def _plan(worker: Gateway, headers: dict[str, str]) -> str:
    return str((await worker.client.get(_ME, headers=headers)).json()["plan"]["code"])


def _listing(worker: Gateway, headers: dict[str, str]) -> Callable[[], Awaitable[httpx.Response]]:
    return lambda: worker.client.get("/v1/api-keys", headers=headers)


async def test_every_credential_of_a_suspended_tenant_is_refused_until_it_resumes(gateway: Gateway) -> None:
    """ID4: and no other tenant's."""
    path = f"/operator/v1/tenants/{(await _me(gateway))['tenant']['id']}"
    assert (await gateway.client.post(f"{path}/suspend", headers=gateway.operator)).json()["status"] == "suspended"
    for role in gateway.acme.keys:
        await _until(lambda role=role: gateway.client.get(_ME, headers=gateway.acme.key(role)), 403)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    assert (await gateway.client.get(_ME, headers=gateway.globex.key())).status_code == 200
    assert (await gateway.client.post(f"{path}/resume", headers=gateway.operator)).json()["status"] == "active"
    await _until(lambda: gateway.client.get(_ME, headers=gateway.acme.key("viewer")), 200)


async def _me(gateway: Gateway) -> dict[str, Any]:
    found: dict[str, Any] = (await gateway.client.get(_ME, headers=gateway.acme.key("viewer"))).json()
    return found
