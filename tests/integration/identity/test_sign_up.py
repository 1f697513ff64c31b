"""``/v1/auth/signup`` and ``/v1/auth/email/verify``: a person makes an account and a tenant."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from procrastinate import App

from gateway.development.mail.mailbox import Mailbox
from gateway.development.processes import free_port
from gateway.features import Features
from tenants.events.jobs import add_event_jobs
from tenants.mail.jobs import MailBackOff, add_mail_jobs
from tenants.sign_up.jobs import add_sign_up_jobs
from tests.fixtures.billing import eventually_so
from tests.fixtures.gateways import Gateway, GatewayFactory
from tests.fixtures.mail import smtp_server
from tests.fixtures.people import SignedIn, execute, misspelt
from tests.fixtures.post import Post, gateway_with_mail, mail_settings

pytestmark = pytest.mark.anyio
_PASSWORD, _OTHER = "umbrella walnut 42 glacier", "another long passphrase"
_NEW, _KNOWN = "ada@initech.example", "member@acme.example"


@pytest.fixture
async def post(gateways: GatewayFactory) -> AsyncIterator[Post]:
    async with gateway_with_mail(gateways) as opened:
        yield opened


async def _sign_up(
    gateway: Gateway, email: str = _NEW, slug: str = "initech", password: str = _PASSWORD, **changed: Any
) -> httpx.Response:
    tenant = {"slug": slug, "name": "Initech Ltd"}
    body = {"email": email, "password": password, "name": "Ada", "tenant": tenant, **changed}
    return await gateway.client.post("/v1/auth/signup", json=body)


async def _verify(gateway: Gateway, token: str, password: str = _PASSWORD) -> httpx.Response:
    return await gateway.client.post("/v1/auth/email/verify", json={"token": token, "password": password})


def _let_time_pass(gateway: Gateway) -> None:
    """As if all sign-ups had been made an hour earlier."""
    execute(gateway, "UPDATE tenantry.sign_ups SET expires_at = expires_at - interval '1 hour'")


def _refusal(answer: httpx.Response) -> tuple[int, str, list[tuple[str, str]]]:
    body = answer.json()
    return answer.status_code, body["code"], [(each["pointer"], each["code"]) for each in body.get("errors", ())]


async def test_a_confirmed_sign_up_is_an_owner_who_is_signed_in(post: Post) -> None:
    """ID12: account, tenant with schema and role, owner and session; nothing of it before the confirmation."""
    answer = await _sign_up(post.gateway)
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    assert execute(post.gateway, "SELECT 1 FROM tenantry.users WHERE email = %s", _NEW) == []
    [message] = await post.received(_NEW)
    assert message.subject == "Confirm your Acme account"
    assert "as initech." in message.text
    assert "Initech Ltd" not in message.text + message.html
    person = SignedIn.of(post.gateway, await _verify(post.gateway, await post.token(_NEW)))
    me = (await person.get("/v1/me")).json()
    assert (me["tenant"]["slug"], me["principal"]["roles"], me["plan"]["code"]) == ("initech", ["owner"], "free")
    made = await person.post("/v1/contacts", name="Grace")
    assert made.status_code == 201, made.text
    members = (await person.get("/v1/members")).json()["data"]
    assert [(each["email"], each["name"]) for each in members] == [(_NEW, "Ada")]
    assert _refusal(await _verify(post.gateway, await post.token(_NEW))) == (401, "credential_invalid", [])


async def test_known_and_unknown_addresses_have_the_same_answer(post: Post) -> None:
    """ID10: in body, jobs and rows; the message alone differs, and goes to the address."""
    answers = [await _sign_up(post.gateway, _KNOWN, "one"), await _sign_up(post.gateway, _NEW, "two")]
    assert [each.status_code for each in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    jobs = execute(
        post.gateway, "SELECT task_name, args::text FROM tenantry.procrastinate_jobs WHERE queue_name <> 'outbox'"
    )
    assert [name for name, _ in jobs] == ["sign_up.send"] * 2
    assert "example" not in "".join(arguments for _, arguments in jobs)
    assert execute(post.gateway, "SELECT slug FROM tenantry.sign_ups ORDER BY slug") == [("one",), ("two",)]
    [known] = await post.received(_KNOWN)
    assert known.subject == "Your address already has an account at Acme"
    assert "token" not in known.text + known.html


async def test_known_and_unknown_addresses_take_the_same_time(post: Post) -> None:
    """ID10: the address is not looked up. The bound guards the order of magnitude: a hash is 20 ms."""
    seconds: dict[str, list[float]] = {_KNOWN: [], _NEW: []}
    for number in range(7):
        for email, taken in seconds.items():
            began = time.perf_counter()
            slug = f"{'known' if email == _KNOWN else 'new'}-{number}"
            assert (await _sign_up(post.gateway, email, slug)).status_code == 202
            taken.append(time.perf_counter() - began)
    known, unknown = (statistics.median(taken) for taken in seconds.values())
    assert 0.5 < known / unknown < 2


async def test_a_taken_slug_reveals_nothing_about_addresses(post: Post) -> None:
    """ID10: of a tenant or held by a sign-up, for an hour; the same for the holder's own address."""
    await _sign_up(post.gateway)
    taken = [
        await _sign_up(post.gateway, slug="acme"),
        await _sign_up(post.gateway, "eve@evil.example"),
        await _sign_up(post.gateway, password=_OTHER),
        await _sign_up(post.gateway, _KNOWN),
    ]
    assert {_refusal(each)[1] for each in taken} == {"conflict"}
    assert len({each.content.replace(each.headers["x-request-id"].encode(), b"") for each in taken}) == 1
    assert _refusal(taken[0])[2] == [("/tenant/slug", "not_unique")]
    _let_time_pass(post.gateway)
    assert (await _sign_up(post.gateway, "eve@evil.example")).status_code == 202


async def test_the_same_sign_up_again_sends_another_link(post: Post) -> None:
    """ID12: the earlier one ends."""
    await _sign_up(post.gateway)
    first = await post.token(_NEW)
    assert (await _sign_up(post.gateway, _NEW.upper())).status_code == 202
    second = await post.token(_NEW)
    assert second != first
    assert _refusal(await _verify(post.gateway, first)) == (401, "credential_invalid", [])
    assert (await _verify(post.gateway, second)).status_code == 200


async def test_the_owner_of_an_address_does_not_confirm_what_a_stranger_typed(post: Post) -> None:
    """ID10, ID12: the password selects the sign-up; a wrong one leaves the link as it is."""
    await _sign_up(post.gateway)
    await _sign_up(post.gateway, slug="evil", password=_OTHER)
    token = await post.token(_NEW)
    assert _refusal(await _verify(post.gateway, token, "yet another passphrase")) == (
        422,
        "validation_failed",
        [("/password", "incorrect")],
    )
    person = SignedIn.of(post.gateway, await _verify(post.gateway, token))
    assert (await person.get("/v1/me")).json()["tenant"]["slug"] == "initech"
    assert execute(post.gateway, "SELECT slug FROM tenantry.sign_ups") == []


async def test_a_link_is_used_once_by_concurrent_confirmations(post: Post) -> None:
    """ID12: one session, one tenant."""
    await _sign_up(post.gateway)
    token = await post.token(_NEW)
    answers = await asyncio.gather(*(_verify(post.gateway, token) for _ in range(4)))
    assert sorted(each.status_code for each in answers) == [200, 401, 401, 401]
    assert execute(post.gateway, "SELECT count(*) FROM tenantry.tenants WHERE slug = 'initech'") == [(1,)]


async def test_links_that_cannot_be_used_make_nothing(post: Post) -> None:
    """ID12: guessed, of another purpose, and after the hour of the sign-up."""
    await _sign_up(post.gateway)
    token = await post.token(_NEW)
    await post.gateway.client.post("/v1/auth/password/forgot", json={"email": _KNOWN})
    refused = [await _verify(post.gateway, each) for each in (misspelt(token), "x", await post.token(_KNOWN))]
    _let_time_pass(post.gateway)
    refused.append(await _verify(post.gateway, token))
    assert {_refusal(each)[:2] for each in refused} == {(401, "credential_invalid")}
    assert execute(post.gateway, "SELECT 1 FROM tenantry.users WHERE email = %s", _NEW) == []


async def test_what_was_taken_meanwhile_is_not_taken_twice(post: Post) -> None:
    """IS8: the slug by an operator, the address by an invitation; nothing is half-made, and the link stays."""
    await _sign_up(post.gateway)
    token = await post.token(_NEW)
    body = {"slug": "initech", "name": "Initech", "plan": "free"}
    made = await post.gateway.client.post("/operator/v1/tenants", json=body, headers=post.gateway.operator)
    assert made.status_code == 201, made.text
    assert _refusal(await _verify(post.gateway, token))[:2] == (409, "conflict")
    assert execute(post.gateway, "SELECT 1 FROM tenantry.users WHERE email = %s", _NEW) == []
    deleted = await post.gateway.client.delete(
        f"/operator/v1/tenants/{made.json()['id']}", headers=post.gateway.operator
    )
    assert deleted.status_code == 204
    async with post.gateway.services.database.control() as session:
        await post.gateway.services.features.people.users.ensure(session, _NEW)
    assert _refusal(await _verify(post.gateway, token))[:2] == (409, "conflict")
    assert execute(post.gateway, "SELECT 1 FROM tenantry.tenants WHERE slug = 'initech'") == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "short"},
        {"email": "a@b, c@d"},
        {"email": "ada"},
        {"tenant": {"slug": "A", "name": "A"}},
        {"tenant": {"slug": "initech", "name": "a\u202eb"}},
        {"tenant": {"slug": "initech", "name": "Initech", "plan": "scale"}},
        {"roles": ["owner"]},
    ],
)
async def test_an_invalid_sign_up_is_refused(post: Post, wrong: dict[str, Any]) -> None:
    """ID9, AZ7: no plan, role or other field is chosen by the caller; nothing is kept."""
    assert (await _sign_up(post.gateway, **wrong)).status_code == 422
    assert execute(post.gateway, "SELECT 1 FROM tenantry.sign_ups") == []


async def test_sign_up_is_closed_without_a_plan(gateway: Gateway) -> None:
    """TENANTRY_SIGN_UP_PLAN: both steps are refused, and nothing is kept."""
    for answer in (await _sign_up(gateway), await _verify(gateway, "x")):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_sign_up_is_limited_by_source(post: Post) -> None:
    """ID10, TH4: 20 in an hour, before a password is hashed."""
    statuses = [(await _sign_up(post.gateway, slug="acme")).status_code for _ in range(21)]
    assert statuses == [409] * 20 + [429]


def _quick_jobs(app: App, features: Features) -> None:
    assert features.mail is not None
    assert features.people.sign_up is not None
    add_event_jobs(app, features.database)
    add_mail_jobs(app, features.mail, MailBackOff(first=0.05, longest=0.1))
    add_sign_up_jobs(app, features.people.sign_up, features.database)


async def test_a_sign_up_waits_for_a_mail_server_that_is_down(gateways: GatewayFactory) -> None:
    """OP3: the message is queued and retried, and its link works when it arrives."""
    port, mailbox = free_port(), Mailbox()
    async with gateways(**mail_settings(port)) as gateway:
        assert (await _sign_up(gateway)).status_code == 202
        post = Post(gateway, mailbox, _quick_jobs)
        assert await post.received(_NEW) == []

        async def has_arrived() -> bool:
            return len(await post.received(_NEW)) == 1

        async with smtp_server(mailbox, port=port):
            await eventually_so(has_arrived, 10.0)
        assert (await _verify(gateway, await post.token(_NEW))).status_code == 200
