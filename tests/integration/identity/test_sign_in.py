"""``/v1/auth/…``: sign-in with a password, refresh token rotation, sign-out."""

import asyncio
import statistics
import time
from typing import Any

import httpx
import psycopg
import pytest

from tenants.sign_in import service
from tests.fixtures.gateways import PASSWORD, Gateway, GatewayFactory

pytestmark = pytest.mark.anyio


async def _post(gateway: Gateway, what: str, **body: Any) -> httpx.Response:
    return await gateway.client.post(f"/v1/auth/{what}", json=body)


async def _log_in(gateway: Gateway, **changed: Any) -> httpx.Response:
    wanted = {"email": "member@acme.example", "password": PASSWORD, "tenant": "acme", **changed}
    return await _post(gateway, "login", **wanted)


async def _grant(gateway: Gateway) -> dict[str, Any]:
    answer = await _log_in(gateway)
    assert answer.status_code == 200, answer.text
    grant: dict[str, Any] = answer.json()
    return grant


async def _refresh(gateway: Gateway, token: str) -> httpx.Response:
    return await _post(gateway, "refresh", refresh_token=token)


async def _me(gateway: Gateway, grant: dict[str, Any]) -> httpx.Response:
    return await gateway.client.get("/v1/me", headers={"Authorization": f"Bearer {grant['access_token']}"})


def _execute(gateway: Gateway, statement: str) -> None:
    with psycopg.connect(gateway.urls.owner, autocommit=True) as connection:
        connection.execute(statement.encode())


def _steady(answer: httpx.Response) -> bytes:
    """The body without the request's own id."""
    return answer.content.replace(answer.headers["x-request-id"].encode(), b"")


async def test_signing_in_gives_a_token_for_one_tenant(gateway: Gateway) -> None:
    """POST /v1/auth/login → access_token, token_type, expires_in, refresh_token; no-store."""
    answer = await _log_in(gateway, email="MEMBER@acme.example")
    assert answer.status_code == 200
    assert set(answer.json()) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 900)
    assert answer.headers["cache-control"] == "no-store"
    me = (await _me(gateway, answer.json())).json()
    assert me["tenant"]["slug"] == "acme"
    assert (me["principal"]["kind"], me["principal"]["roles"]) == ("user", ["member"])


async def test_all_failed_sign_ins_have_identical_responses(gateway: Gateway) -> None:
    """ID10: unknown address, wrong password, disabled, without a password, another tenant, unknown tenant."""
    _execute(gateway, "UPDATE tenantry.users SET disabled_at = now() WHERE email = 'viewer@acme.example'")
    _execute(gateway, "UPDATE tenantry.users SET password_hash = NULL WHERE email = 'admin@acme.example'")
    answers = [
        await _log_in(gateway, password="another long passphrase"),
        await _log_in(gateway, email="nobody@acme.example"),
        await _log_in(gateway, email="viewer@acme.example"),
        await _log_in(gateway, email="admin@acme.example"),
        await _log_in(gateway, tenant="globex"),
        await _log_in(gateway, tenant="nothing"),
        await _log_in(gateway, password=f"{PASSWORD} "),
        await _log_in(gateway, password="x"),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.json()["code"] for answer in answers} == {"credential_invalid"}
    assert len({_steady(answer) for answer in answers}) == 1


async def test_a_failed_sign_in_takes_as_long_for_an_unknown_address(gateway: Gateway) -> None:
    """ID10: the password is always hashed. The bound guards the order of magnitude: a hash is 20 ms, a look-up 2."""
    seconds: dict[str, list[float]] = {"member@acme.example": [], "nobody@acme.example": []}
    for _ in range(7):
        for email, taken in seconds.items():
            began = time.perf_counter()
            assert (await _log_in(gateway, email=email, password="another long passphrase")).status_code == 401
            taken.append(time.perf_counter() - began)
    known, unknown = (statistics.median(taken) for taken in seconds.values())
    assert 0.5 < known / unknown < 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "x" * 1025},
        {"password": 1},
        {"password": ""},
        {"email": "a\nb@c"},
        {"tenant": None},
        {"otp": "123456"},
    ],
)
async def test_an_invalid_sign_in_is_422_without_a_hash(gateway: Gateway, wrong: dict[str, Any]) -> None:
    """ID9, AZ7: at most 1,024 bytes, no unknown fields."""
    assert (await _log_in(gateway, **wrong)).status_code == 422


async def test_a_long_multibyte_password_is_refused_like_any_other(gateway: Gateway) -> None:
    """ID9: 1,024 characters may be 4,096 bytes; no new password is that long, so none matches."""
    assert (await _log_in(gateway, password="😀" * 1000)).status_code == 401


async def test_only_a_member_learns_that_a_tenant_is_suspended(gateway: Gateway) -> None:
    """ID10: after the password was verified."""
    grant = await _grant(gateway)
    _execute(gateway, "UPDATE tenantry.tenants SET status = 'suspended' WHERE slug = 'acme'")
    assert (await _log_in(gateway)).json()["code"] == "tenant_suspended"
    assert (await _log_in(gateway, password="another long passphrase")).json()["code"] == "credential_invalid"
    assert (await _refresh(gateway, grant["refresh_token"])).json()["code"] == "tenant_suspended"


async def test_a_refresh_rotates_the_refresh_token(gateway: Gateway) -> None:
    """At every use."""
    grant = await _grant(gateway)
    seen = {grant["refresh_token"]}
    for _ in range(3):
        answer = await _refresh(gateway, grant["refresh_token"])
        assert answer.status_code == 200, answer.text
        grant = answer.json()
        assert grant["refresh_token"] not in seen
        seen.add(grant["refresh_token"])
        assert (await _me(gateway, grant)).status_code == 200


async def test_reuse_of_an_old_refresh_token_revokes_the_family_and_its_access_tokens(gateway: Gateway) -> None:
    """ID8: the token may be stolen; both parties must sign in again."""
    first = await _grant(gateway)
    second = (await _refresh(gateway, first["refresh_token"])).json()
    third = (await _refresh(gateway, second["refresh_token"])).json()
    assert (await _me(gateway, third)).status_code == 200
    reused = await _refresh(gateway, first["refresh_token"])
    assert (reused.status_code, reused.json()["code"]) == (401, "credential_revoked")
    for token in (first, second, third):
        assert (await _refresh(gateway, token["refresh_token"])).json()["code"] == "credential_revoked"
    await _until_revoked(gateway, third)
    assert (await _me(gateway, await _grant(gateway))).status_code == 200  # a new sign-in is another family


async def _until_revoked(gateway: Gateway, grant: dict[str, Any]) -> None:
    async with asyncio.timeout(1):
        while (await _me(gateway, grant)).status_code == 200:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)
    assert (await _me(gateway, grant)).json()["code"] == "credential_revoked"


async def test_a_refresh_may_be_retried_within_the_grace_period(gateway: Gateway) -> None:
    """ID8: with the same result, so that there is one successor."""
    grant = await _grant(gateway)
    answers = [await _refresh(gateway, grant["refresh_token"]) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert (await _refresh(gateway, answers[0].json()["refresh_token"])).status_code == 200


async def test_a_retry_after_the_grace_period_is_reuse(gateway: Gateway) -> None:
    """ID8: the row's timestamp is set back instead of waiting."""
    grant = await _grant(gateway)
    following = (await _refresh(gateway, grant["refresh_token"])).json()
    _execute(gateway, "UPDATE tenantry.refresh_tokens SET used_at = used_at - interval '10 seconds'")
    assert service.GRACE.total_seconds() == 10
    assert (await _refresh(gateway, grant["refresh_token"])).json()["code"] == "credential_revoked"
    assert (await _refresh(gateway, following["refresh_token"])).json()["code"] == "credential_revoked"


async def test_concurrent_refreshes_on_two_workers_have_one_result(
    gateways: GatewayFactory,
) -> None:
    """ID8: one successor."""
    async with gateways() as one, gateways() as other:
        grant = await _grant(one)
        tokens = [_refresh(worker, grant["refresh_token"]) for worker in (one, other) * 4]
        answers = await asyncio.gather(*tokens)
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        with psycopg.connect(one.urls.owner) as connection:
            assert connection.execute("SELECT count(*) FROM tenantry.refresh_tokens").fetchone() == (2,)


async def test_only_the_latest_refresh_result_is_stored_sealed(gateway: Gateway) -> None:
    """SE1: an older result is deleted."""
    grant = await _grant(gateway)
    for _ in range(3):
        grant = (await _refresh(gateway, grant["refresh_token"])).json()
    with psycopg.connect(gateway.urls.owner) as connection:
        query = "SELECT count(*) FROM tenantry.refresh_tokens WHERE successor_sealed IS NOT NULL"
        assert connection.execute(query).fetchone() == (1,)


async def test_logout_ends_one_sign_in_at_once(gateway: Gateway) -> None:
    """ID11: its refresh and access tokens; the user's other sign-in stays."""
    mine, other = await _grant(gateway), await _grant(gateway)
    assert (await _me(gateway, mine)).status_code == 200
    answer = await _post(gateway, "logout", refresh_token=mine["refresh_token"])
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await _refresh(gateway, mine["refresh_token"])).json()["code"] == "credential_revoked"
    await _until_revoked(gateway, mine)
    assert (await _me(gateway, other)).status_code == 200
    assert (await _refresh(gateway, other["refresh_token"])).status_code == 200


async def test_logout_reveals_nothing_about_unknown_tokens(gateway: Gateway) -> None:
    """ID10: always 204."""
    grant = await _grant(gateway)
    for token in (grant["refresh_token"], grant["refresh_token"], "x", grant["access_token"][:100]):
        assert (await _post(gateway, "logout", refresh_token=token)).status_code == 204


@pytest.mark.parametrize("what", ["unknown", "access token", "api key"])
async def test_a_malformed_refresh_token_is_refused(gateway: Gateway, what: str) -> None:
    """401 only ever means the credential."""
    grant = await _grant(gateway)
    token = {
        "unknown": grant["refresh_token"][:-1] + ("a" if grant["refresh_token"][-1] != "a" else "b"),
        "access token": grant["access_token"][:200],
        "api key": gateway.acme.keys["admin"],
    }[what]
    assert (await _refresh(gateway, token)).json()["code"] == "credential_invalid"


async def test_a_refresh_token_expires(gateway: Gateway) -> None:
    """TENANTRY_REFRESH_TOKEN_DAYS."""
    grant = await _grant(gateway)
    _execute(gateway, "UPDATE tenantry.refresh_tokens SET expires_at = now()")
    assert (await _refresh(gateway, grant["refresh_token"])).json()["code"] == "credential_expired"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tenantry.users SET disabled_at = now() WHERE email = 'member@acme.example'",
        "DELETE FROM tenantry.memberships",
    ],
)
async def test_a_user_without_access_cannot_refresh(gateway: Gateway, statement: str) -> None:
    """ID4: disabled, or no longer a member."""
    grant = await _grant(gateway)
    _execute(gateway, statement)
    assert (await _refresh(gateway, grant["refresh_token"])).json()["code"] == "credential_revoked"


async def test_refresh_works_after_a_role_change(gateway: Gateway) -> None:
    """Roles are looked up, not in the token."""
    grant = await _grant(gateway)
    _execute(gateway, "UPDATE tenantry.memberships SET roles = '{viewer}'")
    following = (await _refresh(gateway, grant["refresh_token"])).json()
    assert (await _me(gateway, following)).json()["principal"]["roles"] == ["viewer"]


async def test_a_login_flood_does_not_delay_other_requests(gateway: Gateway) -> None:
    """ID9: argon2id in a bounded pool of threads; warm requests and the event loop are not blocked."""
    key = gateway.acme.key("viewer")
    assert (await gateway.client.get("/v1/me", headers=key)).status_code == 200
    flood = [asyncio.create_task(_log_in(gateway, password="another long passphrase")) for _ in range(24)]
    await asyncio.sleep(0.05)
    seconds: list[float] = []
    while not all(each.done() for each in flood) and len(seconds) < 50:
        began = time.perf_counter()
        assert (await gateway.client.get("/v1/me", headers=key)).status_code == 200
        seconds.append(time.perf_counter() - began)
    await asyncio.gather(*flood)
    assert statistics.median(seconds) < 0.1
    assert gateway.services.watch.lag_counts[-1] == 0  # beyond the last bound, however busy the machine is


async def test_sign_in_is_limited_by_source(gateways: GatewayFactory) -> None:
    """ID10, TH4: before a password is hashed; without Redis each worker enforces its share."""
    async with gateways(workers=60, redis_url=None) as gateway:
        answers = [await _log_in(gateway, password="another long passphrase") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [401, 401, 429]
        assert answers[-1].json()["code"] == "rate_limited"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 61  # a window, and one of its hundred buckets


async def test_the_jwks_is_cacheable_and_verifies_access_tokens(gateway: Gateway) -> None:
    """/.well-known/jwks.json, without a credential; no private part; the media type of RFC 7517, also for HEAD."""
    head = await gateway.client.head("/.well-known/jwks.json")
    assert (head.status_code, head.headers["content-type"]) == (200, "application/jwk-set+json")
    answer = await gateway.client.get("/.well-known/jwks.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/jwk-set+json"
    assert answer.headers["cache-control"].startswith("public, max-age=")
    (key,) = answer.json()["keys"]
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("OKP", "Ed25519", "Ed25519", "sig")
    assert "d" not in key


async def test_the_documents_name_the_media_type_of_the_jwks(gateway: Gateway) -> None:
    """RFC 7517 section 8.5.2."""
    document = (await gateway.client.get("/openapi.json")).json()
    answer = document["paths"]["/.well-known/jwks.json"]["get"]["responses"]["200"]
    assert list(answer["content"]) == ["application/jwk-set+json"]
