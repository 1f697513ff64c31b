"""Passwords of 8 to 14 characters: only for people whose every sign-in with them needs a second factor (ID9)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from tests.fixtures.authenticator import Authenticator
from tests.fixtures.gateways import PASSWORD, Gateway, GatewayFactory
from tests.fixtures.mfa import Enrolled, challenged, enrol, log_in, post, register
from tests.fixtures.people import SignedIn, execute, sign_in
from tests.fixtures.post import Post, gateway_with_mail

pytestmark = pytest.mark.anyio
_SHORT, _SEVEN, _FOURTEEN, _FIFTEEN = "walnut42", "walnut4", "glacier walnut", "glacier walnut4"
_MEMBER = "member@acme.example"


@pytest.fixture
async def mailed(gateways: GatewayFactory) -> AsyncIterator[Post]:
    async with gateway_with_mail(gateways) as opened:
        yield opened


async def _change(session: SignedIn, new: str, current: str = PASSWORD) -> httpx.Response:
    return await session.post("/v1/auth/password/change", current_password=current, password=new)


async def _shortened(mailed: Post) -> Enrolled:
    """A member with an authenticator app and a password of eight characters."""
    person = await enrol(mailed.gateway)
    session = SignedIn.of(mailed.gateway, await _change(person.session, _SHORT))
    return replace(person, session=session)


async def _link(mailed: Post) -> str:
    await post(mailed.gateway, "password/forgot", email=_MEMBER)
    return await mailed.token(_MEMBER)


async def _reset(mailed: Post, token: str, password: str) -> httpx.Response:
    return await post(mailed.gateway, "password/reset", token=token, password=password)


async def _remove_app(session: SignedIn, code: str) -> httpx.Response:
    client = session.gateway.client
    return await client.request("DELETE", "/v1/auth/mfa/totp", json={"code": code}, headers=session.headers)


def _code(answer: httpx.Response) -> str:
    """The code of the only error of the body, or of the problem."""
    errors = answer.json().get("errors")
    return str(errors[0]["code"] if errors else answer.json()["code"])


async def test_without_a_factor_a_password_has_fifteen_characters(mailed: Post) -> None:
    """ID9: at 15 and 14; that the tenant requires a second factor is not one."""
    execute(mailed.gateway, "UPDATE tenantry.tenants SET require_mfa = true WHERE slug = 'globex'")
    session, link = await sign_in(mailed.gateway), await _link(mailed)
    assert _code(await _change(session, _FOURTEEN)) == "too_short"
    assert _code(await _reset(mailed, link, _FOURTEEN)) == "too_short"
    assert (await _change(session, _FIFTEEN)).status_code == 200
    assert (await _reset(mailed, await _link(mailed), _FIFTEEN)).status_code == 204


async def test_with_a_factor_a_password_has_eight_characters(mailed: Post) -> None:
    """ID9: at 8 and 7, by change and by reset; common ones and the address are refused; each sign-in asks for more."""
    person, link = await enrol(mailed.gateway), await _link(mailed)
    for refused, code in ((_SEVEN, "too_short"), ("Passw0rd", "too_common"), (_MEMBER, "too_common")):
        assert _code(await _change(person.session, refused)) == code
        assert _code(await _reset(mailed, link, refused)) == code
    session = SignedIn.of(mailed.gateway, await _change(person.session, _SHORT))
    assert (await session.get("/v1/me")).status_code == 200
    begun = await log_in(mailed.gateway, password=_SHORT)
    assert begun.json()["methods"] == ["totp", "recovery_code"]
    assert (await _reset(mailed, await _link(mailed), f"{_SHORT}x")).status_code == 204
    assert (await log_in(mailed.gateway, password=f"{_SHORT}x")).json()["enroll"] is False


async def test_the_last_factor_stays_with_a_short_password(mailed: Post) -> None:
    """ID9, ID13: after a recovery code as well; another factor may go; a longer password lets the last one go."""
    person = await _shortened(mailed)
    token = (await log_in(mailed.gateway, password=_SHORT)).json()["mfa_token"]
    recovered = await post(mailed.gateway, "mfa/verify", mfa_token=token, code=person.recovery_codes[0])
    session = SignedIn.of(mailed.gateway, recovered)
    kept = await _remove_app(session, person.code)
    assert (kept.status_code, _code(kept)) == (409, "conflict")
    assert "fewer than 15 characters" in kept.json()["detail"]
    added = await register(session, Authenticator(), code=person.code)
    assert added.status_code == 201, added.text
    assert (await _remove_app(session, person.recovery_codes[1])).status_code == 204
    path = f"/v1/auth/passkeys/{added.json()['id']}"
    proof = {"code": person.recovery_codes[2]}
    last = await session.gateway.client.request("DELETE", path, json=proof, headers=session.headers)
    assert (last.status_code, _code(last)) == (409, "conflict")
    longer = SignedIn.of(mailed.gateway, await _change(session, PASSWORD, _SHORT))
    gone = await session.gateway.client.request("DELETE", path, json=proof, headers=longer.headers)
    assert gone.status_code == 204
    assert "access_token" in (await log_in(mailed.gateway)).json()


async def test_after_a_reset_of_the_factors_only_a_longer_password_signs_in(mailed: Post) -> None:
    """ID9, ID13: neither a session nor another second factor for a short one alone, also where one is required."""
    person = await _shortened(mailed)
    waiting = (await log_in(mailed.gateway, password=_SHORT)).json()["mfa_token"]
    member = (await person.session.get("/v1/me")).json()["principal"]["id"]
    headers = mailed.gateway.acme.key("owner")
    assert (await mailed.gateway.client.delete(f"/v1/members/{member}/mfa", headers=headers)).status_code == 204
    assert await person.session.is_over()
    for required in (False, True):
        execute(mailed.gateway, "UPDATE tenantry.tenants SET require_mfa = %s WHERE slug = 'acme'", required)
        refused = await log_in(mailed.gateway, password=_SHORT)
        assert (refused.status_code, _code(refused)) == (403, "forbidden")
        assert (await log_in(mailed.gateway, password="another")).status_code == 401
    assert (await post(mailed.gateway, "mfa/totp", mfa_token=waiting)).status_code == 401
    [notice, *_] = await mailed.received(_MEMBER)
    assert "request a link" in notice.text
    link = await _link(mailed)
    assert _code(await _reset(mailed, link, _SHORT)) == "too_short"
    assert (await _reset(mailed, link, PASSWORD)).status_code == 204
    assert (await challenged(mailed.gateway))["enroll"] is True


async def test_a_right_short_password_that_is_refused_costs_nothing(mailed: Post) -> None:
    """ID10: the charge of the attempt is given back."""
    await _shortened(mailed)
    execute(mailed.gateway, "DELETE FROM tenantry.totp_factors")  # as a release that knows no short passwords would
    for _ in range(12):
        assert (await log_in(mailed.gateway, password=_SHORT)).status_code == 403


async def test_a_factor_removed_while_a_short_password_is_set_leaves_neither_alone(mailed: Post) -> None:
    """ID9: whatever comes first, a short password never stays without a factor."""
    person = await enrol(mailed.gateway)
    await asyncio.gather(
        _change(person.session, _SHORT),
        _remove_app(person.session, person.recovery_codes[0]),
    )
    [(alone,)] = execute(
        mailed.gateway,
        "SELECT count(*) FROM tenantry.users WHERE password_is_short AND id NOT IN"
        " (SELECT user_id FROM tenantry.totp_factors WHERE confirmed_at IS NOT NULL)",
    )
    assert alone == 0


async def test_without_mail_a_password_is_never_short(gateway: Gateway) -> None:
    """ID9: a person whose factor is lost would have no way back."""
    person = await enrol(gateway)
    assert _code(await _change(person.session, _FOURTEEN)) == "too_short"
