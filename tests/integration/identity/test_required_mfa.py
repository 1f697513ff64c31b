"""A tenant that requires a second factor, and administrators who help members that have lost theirs."""

import asyncio
from typing import Any

import httpx
import pytest

from tenants.identifiers import TENANT, show
from tests.fixtures.events import events_of
from tests.fixtures.gateways import Gateway, GatewayFactory
from tests.fixtures.mfa import challenged, code_of, enrol, log_in, post
from tests.fixtures.people import SignedIn, execute, sign_in

pytestmark = pytest.mark.anyio


async def _require(gateway: Gateway, by: dict[str, str], *, required: bool = True) -> httpx.Response:
    return await gateway.client.patch("/v1/tenant", json={"require_mfa": required}, headers=by)


async def _user(gateway: Gateway, role: str) -> str:
    page = await gateway.client.get("/v1/members", headers=gateway.acme.key("owner"))
    return str(next(each["id"] for each in page.json()["data"] if each["email"].startswith(role)))


async def _reset(gateway: Gateway, role: str, by: dict[str, str]) -> httpx.Response:
    return await gateway.client.delete(f"/v1/members/{await _user(gateway, role)}/mfa", headers=by)


def _join_globex(gateway: Gateway, role: str) -> None:
    execute(
        gateway,
        "INSERT INTO tenantry.memberships (tenant_id, user_id, roles) SELECT t.id, u.id, '{viewer}'"
        " FROM tenantry.tenants t, tenantry.users u WHERE slug = 'globex' AND email = %s",
        f"{role}@acme.example",
    )


async def test_requiring_it_needs_a_session_that_used_one(gateway: Gateway) -> None:
    """ID13: nobody demands what they have not; the owner's key may, and members without the permission may not."""
    owner = await sign_in(gateway, "owner")
    assert (await _require(gateway, owner.headers)).status_code == 403
    person = await enrol(gateway, "owner")
    assert (await _require(gateway, (await sign_in(gateway, "viewer")).headers)).status_code == 403
    verified = await person.verified("owner")
    answer = await _require(gateway, verified.headers)
    assert (answer.status_code, answer.json()["require_mfa"]) == (200, True)
    assert (await _require(gateway, gateway.acme.key("owner"), required=False)).json()["require_mfa"] is False
    assert (await _require(gateway, gateway.acme.key("owner"))).json()["require_mfa"] is True


async def test_requiring_it_ends_the_sessions_that_used_none(gateways: GatewayFactory) -> None:
    """ID4, ID13: on every worker, of this tenant alone, also when they begin while it is being required."""
    async with gateways() as gateway, gateways() as other:
        person = await enrol(gateway, "admin")
        verified, weak = await person.verified("admin"), await sign_in(gateway)
        foreign = await sign_in(gateway, "viewer", "globex")
        await other.catch_up()
        racing, _, *_ = await asyncio.gather(
            log_in(gateway, "viewer"), _require(gateway, gateway.acme.key("owner")), log_in(gateway, "viewer")
        )
        assert await SignedIn(other, weak.access_token, weak.refresh_token).is_over()
        if "access_token" in racing.json():
            assert await SignedIn.of(gateway, racing).is_over()
        assert not await verified.is_over()
        assert not await foreign.is_over()


async def test_a_member_without_a_factor_enrols_at_the_next_sign_in(gateway: Gateway) -> None:
    """ID13: with the token of the sign-in, which then gives the session. Nothing else is possible with it."""
    await _require(gateway, gateway.acme.key("owner"))
    challenge = await challenged(gateway)
    assert (challenge["methods"], challenge["enroll"]) == ([], True)
    token = challenge["mfa_token"]
    assert (await post(gateway, "mfa/verify", mfa_token=token, code="000000")).status_code == 401
    begun = await post(gateway, "mfa/totp", mfa_token=token)
    secret = begun.json()["secret"]
    wrong = await post(gateway, "mfa/totp/confirm", mfa_token=token, code="000000")
    assert wrong.status_code == 422
    other_token = (await challenged(gateway))["mfa_token"]
    confirmed = await post(gateway, "mfa/totp/confirm", mfa_token=token, code=code_of(secret))
    assert len(confirmed.json()["recovery_codes"]) == 10
    session = SignedIn(gateway, confirmed.json()["grant"]["access_token"], confirmed.json()["grant"]["refresh_token"])
    assert (await session.get("/v1/auth/mfa")).json()["required"] is True
    assert not await session.is_over()
    for used in (token, other_token):
        again = await post(gateway, "mfa/totp", mfa_token=used)
        assert again.status_code == 401, "a password alone adds no second app beside the first"
    assert (await challenged(gateway))["enroll"] is False


async def test_the_last_factor_stays_while_a_tenant_requires_one(gateway: Gateway) -> None:
    """ID13: else a password alone would enrol the next one."""
    person = await enrol(gateway)
    await _require(gateway, gateway.acme.key("owner"))
    verified = await person.verified()
    body = {"code": person.recovery_codes[0]}
    kept = await gateway.client.request("DELETE", "/v1/auth/mfa/totp", json=body, headers=verified.headers)
    assert (kept.status_code, kept.json()["code"]) == (409, "conflict")
    assert (await verified.get("/v1/auth/mfa")).json()["recovery_codes"] == 10, "nothing was used"
    await person.verified()


async def test_switching_into_such_a_tenant_needs_a_second_factor(gateway: Gateway) -> None:
    """ID11, ID13: a session of a password alone goes on with a challenge; a refresh keeps what the session had."""
    _join_globex(gateway, "member")
    await _require(gateway, gateway.globex.key("owner"))
    weak = await sign_in(gateway)
    switched = await weak.post("/v1/auth/switch", tenant="globex")
    assert switched.json()["enroll"] is True
    execute(gateway, "UPDATE tenantry.tenants SET require_mfa = true WHERE slug = 'acme'")
    assert (await weak.refreshed()).json()["code"] == "credential_revoked", "as one that an older release has opened"
    execute(gateway, "UPDATE tenantry.tenants SET require_mfa = false WHERE slug = 'acme'")
    assert (await SignedIn.of(gateway, await weak.refreshed()).get("/v1/me")).status_code == 200
    person = await enrol(gateway)
    strong = await person.verified()
    moved = SignedIn.of(gateway, await strong.post("/v1/auth/switch", tenant="globex"))
    assert (await moved.get("/v1/me")).json()["tenant"]["slug"] == "globex"
    refreshed = SignedIn.of(gateway, await moved.refreshed())
    assert (await refreshed.get("/v1/me")).status_code == 200


async def test_an_administrator_resets_the_factors_of_members(gateway: Gateway) -> None:
    """ID13, AZ5: never of somebody who holds more, never their own, and not without the permission."""
    person, owner = await enrol(gateway), await enrol(gateway, "owner")
    admin = await enrol(gateway, "admin")
    waiting = (await challenged(gateway))["mfa_token"]
    refused: list[tuple[str, dict[str, Any]]] = [
        ("owner", gateway.acme.key("admin")),
        ("admin", admin.session.headers),
        ("member", gateway.acme.key("viewer")),
        ("member", person.session.headers),
    ]
    for role, by in refused:
        assert (await _reset(gateway, role, by)).status_code == 403, (role, by)
    foreign = gateway.globex.key("owner")
    assert (await _reset(gateway, "member", foreign)).status_code == 404
    assert (await _reset(gateway, "member", admin.session.headers)).status_code == 204
    assert (await _reset(gateway, "member", admin.session.headers)).status_code == 404, "there is none any more"
    (reset,) = [each for each in events_of(gateway.urls, gateway.acme.ref) if each["type"] == "members.mfa_reset"]
    assert (reset["actor_kind"], reset["object_id"] == reset["actor_id"]) == ("user", False)
    assert await person.session.is_over()
    assert (await post(gateway, "mfa/verify", mfa_token=waiting, code=person.code)).status_code == 401
    assert "access_token" in (await log_in(gateway)).json()
    assert not await owner.session.is_over()


async def test_a_tenant_does_not_strip_the_protection_of_another(gateway: Gateway) -> None:
    """ID13: the factors of a person in two tenants are reset by the operators of the service."""
    _join_globex(gateway, "member")
    person = await enrol(gateway)
    answer = await _reset(gateway, "member", gateway.acme.key("owner"))
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert not await person.session.is_over()
    acting = gateway.operator | {
        "Tenantry-Tenant": show(TENANT, gateway.acme.ref.id),
        "Tenantry-Reason": "Lost phone.",
    }
    assert (await _reset(gateway, "member", acting)).status_code == 204
    assert await person.session.is_over()
