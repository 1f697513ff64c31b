"""``/v1/auth/password/…``: change with the current password, and reset by a link."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tenants.sign_in.service import SignInRefused
from tenants.sign_in_limits.limits import ACCOUNT, Source
from tests.fixtures.gateways import PASSWORD, Gateway, GatewayFactory
from tests.fixtures.people import SignedIn, execute, misspelt, sign_in
from tests.fixtures.post import Post, gateway_with_mail

pytestmark = pytest.mark.anyio
_NEW, _WRONG = "umbrella walnut 42 glacier", "another long passphrase"
_MEMBER = "member@acme.example"


@pytest.fixture
async def post(gateways: GatewayFactory) -> AsyncIterator[Post]:
    async with gateway_with_mail(gateways) as opened:
        yield opened


async def _change(person: SignedIn, current: str = PASSWORD, new: str = _NEW) -> httpx.Response:
    return await person.post("/v1/auth/password/change", current_password=current, password=new)


async def _forgot(gateway: Gateway, email: str = _MEMBER) -> httpx.Response:
    return await gateway.client.post("/v1/auth/password/forgot", json={"email": email})


async def _reset(gateway: Gateway, token: str, password: str = _NEW) -> httpx.Response:
    return await gateway.client.post("/v1/auth/password/reset", json={"token": token, "password": password})


async def _status(gateway: Gateway, password: str) -> int:
    body = {"email": _MEMBER, "password": password, "tenant": "acme"}
    return (await gateway.client.post("/v1/auth/login", json=body)).status_code


def _steady(answer: httpx.Response) -> bytes:
    return answer.content.replace(answer.headers["x-request-id"].encode(), b"")


def _errors(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(each["pointer"], each["code"]) for each in answer.json()["errors"]]


async def test_a_changed_password_ends_all_sessions_and_begins_one(post: Post) -> None:
    """ID11: access and refresh tokens of every device, this one's too; the old password is over; the person is told."""
    mine, other = await sign_in(post.gateway), await sign_in(post.gateway)
    stranger = await sign_in(post.gateway, "viewer")
    renewed = SignedIn.of(post.gateway, await _change(mine))
    assert await mine.is_over()
    assert await other.is_over()
    assert not await stranger.is_over()
    assert not await renewed.is_over()
    assert (await _status(post.gateway, PASSWORD), await _status(post.gateway, _NEW)) == (401, 200)
    [notice] = await post.received(_MEMBER)
    assert notice.subject == "Your Acme password was changed"


async def test_a_sign_in_with_the_old_password_is_refused_once_it_has_changed(gateway: Gateway) -> None:
    """ID11: also one whose password was checked before the change and whose session begins after it."""
    mine, service = await sign_in(gateway), gateway.services.features.people.sign_in
    proven = await service.prove(_MEMBER, PASSWORD, "acme", Source("192.0.2.1", "192.0.2.1"))
    assert (await _change(mine)).status_code == 200
    async with gateway.services.database.control() as session:
        with pytest.raises(SignInRefused):
            await service.accept(session, proven)


async def test_a_new_password_is_checked(gateway: Gateway) -> None:
    """ID9: before the current one; nothing changes. Unknown fields are refused (AZ7)."""
    mine = await sign_in(gateway)
    for new, code in (("short", "too_short"), ("passwordpassword", "too_common"), ("é" * 600, "too_long")):
        assert _errors(await _change(mine, new=new)) == [("/password", code)]
    assert _errors(await mine.post("/v1/auth/password/change", password=_NEW)) == [("/current_password", "missing")]
    assert not await mine.is_over()


async def test_wrong_current_passwords_are_delayed_like_those_of_sign_ins(gateway: Gateway) -> None:
    """ID10: over the same counters; without lock-out, and the session goes on."""
    mine = await sign_in(gateway)
    for _ in range(ACCOUNT.attempts):
        assert _errors(await _change(mine, _WRONG)) == [("/current_password", "incorrect")]
    delayed = await _change(mine)
    assert (delayed.status_code, delayed.json()["code"]) == (429, "rate_limited")
    assert not await mine.is_over()
    execute(gateway, "UPDATE tenantry.sign_in_allowances SET until = until - %s", timedelta(minutes=2))
    assert (await _change(mine)).status_code == 200


async def test_only_a_person_changes_a_password(gateway: Gateway) -> None:
    """AZ1: no API key, whatever its role."""
    body = {"current_password": PASSWORD, "password": _NEW}
    key = gateway.acme.key("owner")
    answer = await gateway.client.post("/v1/auth/password/change", json=body, headers=key)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_link_sets_a_new_password(post: Post) -> None:
    """ID11, ID12: it ends the sessions of the person in every tenant, signs in nobody, and tells the person."""
    execute(
        post.gateway,
        "INSERT INTO tenantry.memberships (tenant_id, user_id, roles) SELECT tenants.id, users.id, '{viewer}'"
        " FROM tenantry.tenants, tenantry.users WHERE slug = 'globex' AND email = %s",
        _MEMBER,
    )
    mine = await sign_in(post.gateway)
    elsewhere = SignedIn.of(post.gateway, await mine.post("/v1/auth/switch", tenant="globex"))
    assert (await _forgot(post.gateway, _MEMBER.upper())).status_code == 202
    answer = await _reset(post.gateway, await post.token(_MEMBER))
    assert (answer.status_code, answer.content) == (204, b"")
    assert await mine.is_over()
    assert await elsewhere.is_over()
    assert (await _status(post.gateway, PASSWORD), await _status(post.gateway, _NEW)) == (401, 200)
    assert [each.subject for each in await post.received(_MEMBER)] == [
        "Your Acme password was changed",
        "Reset your Acme password",
    ]


async def test_the_answer_is_the_same_for_every_address_and_only_real_ones_get_mail(post: Post) -> None:
    """ID10: one job each, its address sealed (SE1); neither unknown nor disabled people get a message."""
    execute(post.gateway, "UPDATE tenantry.users SET disabled_at = now() WHERE email = 'viewer@acme.example'")
    answers = [await _forgot(post.gateway, each) for each in (_MEMBER, "viewer@acme.example", "nobody@acme.example")]
    assert {each.status_code for each in answers} == {202}
    assert len({each.content for each in answers}) == 1
    jobs = execute(
        post.gateway, "SELECT task_name, args::text FROM tenantry.procrastinate_jobs WHERE queue_name <> 'outbox'"
    )
    assert [name for name, _ in jobs] == ["password.forgot"] * 3
    assert "example" not in "".join(arguments for _, arguments in jobs)
    await post.run_jobs()
    assert [each.recipients for each in post.mailbox.messages()] == [[_MEMBER]]


async def test_links_that_cannot_be_used_look_alike(post: Post) -> None:
    """ID12: guessed, misspelt, of another purpose, replaced, expired and used; the password stays."""
    await _forgot(post.gateway)
    replaced = await post.token(_MEMBER)
    await _forgot(post.gateway)
    token = await post.token(_MEMBER)
    foreign = await _sign_up_token(post)
    refused = [await _reset(post.gateway, each) for each in (replaced, foreign, misspelt(token), "x", PASSWORD)]
    execute(post.gateway, "UPDATE tenantry.one_time_links SET expires_at = now()")
    refused.append(await _reset(post.gateway, token))
    execute(post.gateway, "UPDATE tenantry.one_time_links SET expires_at = now() + interval '1 minute'")
    assert _errors(await _reset(post.gateway, token, "short")) == [("/password", "too_short")]
    assert (await _reset(post.gateway, token)).status_code == 204
    refused.append(await _reset(post.gateway, token, _WRONG))
    assert {(each.status_code, each.json()["code"]) for each in refused} == {(401, "credential_invalid")}
    assert len({_steady(each) for each in refused}) == 1
    assert await _status(post.gateway, _NEW) == 200


async def _sign_up_token(post: Post) -> str:
    body: dict[str, Any] = {"email": "new@initech.example", "password": _NEW}
    body["tenant"] = {"slug": "initech", "name": "Initech"}
    assert (await post.gateway.client.post("/v1/auth/signup", json=body)).status_code == 202
    return await post.token("new@initech.example")


async def test_an_address_gets_few_messages(post: Post) -> None:
    """ID10: three at once, then one each five minutes; the answers do not show it."""
    for _ in range(6):
        assert (await _forgot(post.gateway)).status_code == 202
    assert len(await post.received(_MEMBER)) == 3
    execute(post.gateway, "UPDATE tenantry.sign_in_allowances SET until = until - interval '5 minutes'")
    await _forgot(post.gateway)
    assert len(await post.received(_MEMBER)) == 4


async def test_without_mail_a_reset_is_refused(gateway: Gateway) -> None:
    """The caller learns that no message will come."""
    answer = await _forgot(gateway)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "no mail" in answer.json()["detail"]
