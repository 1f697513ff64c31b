"""Accepting invitations: accounts and memberships that a link makes, and what the link must not do."""

import asyncio
from collections import Counter

import httpx
import pytest

from tenants.audit.origin import SYSTEM
from tenants.errors import TenantryError, Unavailable
from tenants.links.service import LinkPurpose
from tenants.secrets.tokens import SecretKind, generate
from tests.fixtures.gateways import BASE_URL, PASSWORD
from tests.fixtures.invitations import INVITATIONS, RENEW, MailedGateway, someone

pytestmark = pytest.mark.anyio

_NEW = "another long enough passphrase"
_AT_ONCE = 50
_TRIES = 50


def _members(mailed: MailedGateway) -> dict[str, list[str]]:
    """Roles of acme's members by address."""
    query = (
        "SELECT u.email, m.roles FROM tenantry.memberships m JOIN tenantry.users u ON u.id = m.user_id"
        " JOIN tenantry.tenants t ON t.id = m.tenant_id WHERE t.slug = 'acme'"
    )
    return dict(mailed.execute(query))


def _without_id(answer: httpx.Response) -> bytes:
    return answer.content.replace(answer.headers["x-request-id"].encode(), b"")


async def _link(mailed: MailedGateway, role: str = "member", by: dict[str, str] | None = None) -> tuple[str, str]:
    """A new address that was invited, and its link."""
    email = someone()
    await mailed.invited(email, role, by)
    return email, await mailed.another_token(email)


async def _outcome(mailed: MailedGateway, token: str, password: str | None = None) -> str:
    """``joined``, or the code of the error; without the window of a source, which many at once use up.

    On a slow machine, some of many find no connection in time: they try again.
    """
    for _ in range(_TRIES):
        try:
            await mailed.gateway.services.features.people.acceptance.accept(token, "", password, origin=SYSTEM)
        except Unavailable:
            continue
        except TenantryError as error:
            return error.code
        return "joined"
    return Unavailable.code


async def _key(mailed: MailedGateway, role: str) -> tuple[str, dict[str, str]]:
    body = {"name": "a key", "role": role}
    made = (await mailed.post("/v1/api-keys", body, mailed.gateway.acme.key("owner"))).json()
    return made["id"], {"X-API-Key": made["secret"]}


_EXPECTED_LOG = [
    ("tenant.created", "operator"),
    ("api_keys.created", "operator"),
    ("invitations.created", "operator"),
    ("members.added", "user"),
    ("invitations.accepted", "user"),
    ("invitations.created", "user"),
    ("members.added", "user"),
    ("invitations.accepted", "user"),
]


def _log_of(mailed: MailedGateway, schema: str) -> list[tuple[str, str]]:
    """What changed and who did it, in the tenant's audit log. No link is in it."""
    rows = mailed.execute(f"SELECT type, actor_kind, e::text FROM {schema}.tenantry_events e ORDER BY created_at")  # noqa: S608 - a schema's name
    assert not any("tn_link_" in row[2] for row in rows)
    return [(row[0], row[1]) for row in rows if not row[0].startswith("sign")]


async def test_a_tenant_runs_from_the_operators_invitation_to_a_viewers_sign_in(mailed: MailedGateway) -> None:
    """ID12, AU1: a tenant of an operator, its owner by mail, sign-in, a viewer whom the owner invites, sign-in."""
    boss, viewer, client = someone(), someone(), mailed.gateway.client
    body = {"slug": "initech", "name": "Initech", "plan": "pro", "owner_email": boss}
    made = (await mailed.post("/operator/v1/tenants", body, mailed.gateway.operator)).json()
    token = await mailed.token(boss)
    [message] = await mailed.messages(boss)
    assert message["subject"] == "Initech invites you to Acme"
    assert f'href="{BASE_URL}/console/invitation#token={token}"' in message["html"]
    accepted = await mailed.accept(token, name="The Boss", password=PASSWORD)
    assert accepted.json() == {
        "tenant": {"id": made["id"], "slug": "initech", "name": "Initech"},
        "email": boss,
        "role": "owner",
        "password_set": True,
    }
    grant = (await mailed.log_in(boss, PASSWORD, "initech")).json()
    owner = {"Authorization": f"Bearer {grant['access_token']}"}
    assert (await client.get("/v1/me", headers=owner)).json()["principal"]["roles"] == ["owner"]
    await mailed.invited(viewer, "viewer", owner)
    assert (await mailed.accept(await mailed.token(viewer), password=_NEW)).status_code == 200
    grant = (await mailed.log_in(viewer, _NEW, "initech")).json()
    me = await client.get("/v1/me", headers={"Authorization": f"Bearer {grant['access_token']}"})
    assert me.json()["permissions"] == ["contacts:read", "deals:read"]
    people = (await client.get("/v1/members", headers=owner)).json()["data"]
    assert {each["email"]: (each["name"], each["roles"]) for each in people} == {
        boss: ("The Boss", ["owner"]),
        viewer: ("", ["viewer"]),
    }
    listed = (await client.get(INVITATIONS, headers=owner)).json()["data"]
    assert [(each["email"], each["status"]) for each in listed] == [(viewer, "accepted"), (boss, "accepted")]
    assert _log_of(mailed, made["schema"]) == _EXPECTED_LOG
    deleted = await client.delete(f"/operator/v1/tenants/{made['id']}", headers=mailed.gateway.operator)
    assert deleted.status_code == 204


@pytest.mark.parametrize(
    ("password", "code"),
    [
        (None, "missing"),
        ("too short", "too_short"),
        ("passwordpassword", "too_common"),
        ("x" * 1025, "too_long"),
    ],
)
async def test_a_bad_password_uses_no_link_up(mailed: MailedGateway, password: str | None, code: str) -> None:
    """ID9, ID12: a new person has to choose a good one, with the same link."""
    email, token = await _link(mailed)
    refused = await mailed.accept(token, password=password)
    assert refused.status_code == 422, refused.text
    [error] = refused.json()["errors"]
    assert (error["pointer"], error["code"]) == ("/password", code)
    assert email not in _members(mailed)
    assert (await mailed.accept(token, password=PASSWORD)).status_code == 200
    assert (await mailed.log_in(email, PASSWORD)).status_code == 200


async def test_an_existing_account_joins_and_keeps_its_password(mailed: MailedGateway) -> None:
    """ID12: a mailbox alone neither changes a password nor signs in; the sessions elsewhere go on."""
    email = "viewer@globex.example"
    before = (await mailed.log_in(email, PASSWORD, "globex")).json()
    await mailed.invited("Viewer@globex.example")
    accepted = await mailed.accept(await mailed.token("Viewer@globex.example"), name="Mallory", password=_NEW)
    assert (accepted.status_code, accepted.json()["password_set"]) == (200, False)
    assert "access_token" not in accepted.text
    assert "set-cookie" not in accepted.headers
    assert (await mailed.log_in(email, _NEW)).status_code == 401
    assert (await mailed.log_in(email, PASSWORD)).status_code == 200
    assert (await mailed.log_in(email, PASSWORD, "globex")).status_code == 200
    refreshed = await mailed.post("/v1/auth/refresh", {"refresh_token": before["refresh_token"]})
    assert refreshed.status_code == 200
    assert _members(mailed)[email] == ["member"]
    assert mailed.execute("SELECT name FROM tenantry.users WHERE email = %s", email) == [("",)]


async def test_every_link_that_cannot_be_used_has_one_answer(mailed: MailedGateway) -> None:
    """ID12: used, expired, of another purpose, guessed, of a revoked invitation, with a wrong checksum."""
    owner = mailed.gateway.acme.key("owner")
    _, used = await _link(mailed)
    assert (await mailed.accept(used, password=PASSWORD)).status_code == 200
    email, expired = await _link(mailed)
    mailed.execute("UPDATE tenantry.one_time_links SET expires_at = now() WHERE email = %s", email)
    email = someone()
    made = await mailed.invited(email)
    revoked = await mailed.another_token(email)
    await mailed.gateway.client.delete(f"{INVITATIONS}/{made['id']}", headers=owner)
    email, ended = await _link(mailed)
    mailed.execute("UPDATE tenantry.invitations SET expires_at = now() WHERE email = %s", email)
    async with mailed.gateway.services.database.control() as session:
        links = mailed.gateway.services.features.people.links
        foreign = await links.issue(session, LinkPurpose.PASSWORD_RESET, email=email)
    guessed = generate(SecretKind.LINK)
    answers = [
        await mailed.accept(token, password=PASSWORD)
        for token in (used, expired, revoked, ended, foreign, guessed, guessed[:-1], "x", owner["X-API-Key"])
    ]
    assert {each.status_code for each in answers} == {401}
    assert len({_without_id(each) for each in answers}) == 1
    assert answers[0].json()["code"] == "credential_invalid"


async def test_of_concurrent_acceptances_of_one_link_one_succeeds(mailed: MailedGateway) -> None:
    """ID12: 50 at once; one account, one membership."""
    email, _ = await _link(mailed)
    existing = "viewer@globex.example"
    await mailed.invited(existing)
    token = await mailed.another_token(existing)
    outcomes = await asyncio.gather(*(_outcome(mailed, token) for _ in range(_AT_ONCE)))
    assert Counter(outcomes) == {"joined": 1, "credential_invalid": _AT_ONCE - 1}
    token = await mailed.another_token(email)
    outcomes = await asyncio.gather(*(_outcome(mailed, token, PASSWORD) for _ in range(8)))
    assert Counter(outcomes) == {"joined": 1, "credential_invalid": 7}
    assert mailed.execute("SELECT count(*) FROM tenantry.users WHERE email = %s", email) == [(1,)]


async def test_an_expired_link_is_exchanged_for_one_to_the_same_address(mailed: MailedGateway) -> None:
    """ID12: for as long as the invitation is pending; the answer never says whether it was."""
    email = someone()
    made = await mailed.invited(email)
    first = await mailed.token(email)
    mailed.execute("UPDATE tenantry.one_time_links SET expires_at = now() - interval '3 days'")
    answers = [await mailed.post(RENEW, {"token": each}) for each in (first, first, generate(SecretKind.LINK), "x")]
    second = await mailed.token(email)
    assert second != first
    assert len(await mailed.messages(email)) == 2
    assert (await mailed.accept(first, password=PASSWORD)).status_code == 401
    owner = mailed.gateway.acme.key("owner")
    await mailed.gateway.client.delete(f"{INVITATIONS}/{made['id']}", headers=owner)
    answers.append(await mailed.post(RENEW, {"token": second}))
    assert {(each.status_code, each.content) for each in answers} == {(202, b"")}
    await mailed.deliver()
    assert len(await mailed.messages(email)) == 2


async def test_a_renewal_is_counted_among_the_messages_to_an_address(mailed: MailedGateway) -> None:
    """ID10: nine renewals after the first message, and no tenth."""
    email = someone()
    await mailed.invited(email)
    for _ in range(12):
        await mailed.post(RENEW, {"token": await mailed.another_token(email)})
    await mailed.deliver()
    assert len(await mailed.messages(email)) == 10


_END_THE_INVITER = {
    "removed": "DELETE FROM tenantry.memberships WHERE user_id = %s",
    "demoted": "UPDATE tenantry.memberships SET roles = '{member}' WHERE user_id = %s",
    "disabled in the tenant": "UPDATE tenantry.memberships SET disabled_at = now() WHERE user_id = %s",
    "disabled": "UPDATE tenantry.users SET disabled_at = now() WHERE id = %s",
}


@pytest.mark.parametrize("change", _END_THE_INVITER)
async def test_an_invitation_is_void_once_its_inviter_could_not_send_it(mailed: MailedGateway, change: str) -> None:
    """AZ5: judged by what the inviter holds when the grant takes effect; neither accepted nor renewed."""
    grant = (await mailed.log_in("admin@acme.example", PASSWORD)).json()
    by = {"Authorization": f"Bearer {grant['access_token']}"}
    email, token = await _link(mailed, "viewer", by)
    [(user,)] = mailed.execute("SELECT id FROM tenantry.users WHERE email = 'admin@acme.example'")
    mailed.execute(_END_THE_INVITER[change], user)
    refused = await mailed.accept(token, password=PASSWORD)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "void" in refused.json()["detail"]
    sent = mailed.execute("SELECT sends FROM tenantry.invitations WHERE email = %s", email)
    assert (await mailed.post(RENEW, {"token": token})).status_code == 202
    assert mailed.execute("SELECT sends FROM tenantry.invitations WHERE email = %s", email) == sent
    assert email not in _members(mailed)
    [invitation] = (await mailed.gateway.client.get(INVITATIONS, headers=mailed.gateway.acme.key("owner"))).json()[
        "data"
    ]
    again = await mailed.post(f"{INVITATIONS}/{invitation['id']}/resend", {}, mailed.gateway.acme.key("owner"))
    assert again.status_code == 200
    assert (await mailed.accept(await mailed.token(email), password=PASSWORD)).status_code == 200


async def test_a_role_is_judged_as_it_is_at_acceptance(mailed: MailedGateway) -> None:
    """AZ5: deleted, or widened beyond what the inviter holds, or sent by a key that has ended."""
    owner, client = mailed.gateway.acme.key("owner"), mailed.gateway.client
    made = [
        (await mailed.post("/v1/roles", {"name": name, "permissions": ["contacts:read"]}, owner)).json()["id"]
        for name in ("reader", "doomed")
    ]
    inviting = {"name": "inviter", "permissions": ["invitations:create", "contacts:read"]}
    assert (await mailed.post("/v1/roles", inviting, owner)).status_code == 201
    key, by = await _key(mailed, "inviter")
    wide, deleted, ended = [await _link(mailed, role, by) for role in ("reader", "doomed", "inviter")]
    widened = {"permissions": ["contacts:read", "contacts:delete"]}
    assert (await client.patch(f"/v1/roles/{made[0]}", json=widened, headers=owner)).status_code == 200
    assert (await client.delete(f"/v1/roles/{made[1]}", headers=owner)).status_code == 204
    answers = [await mailed.accept(token, password=PASSWORD) for _, token in (wide, deleted)]
    assert (await mailed.post(f"/v1/api-keys/{key}/revoke", {}, owner)).status_code == 204
    answers.append(await mailed.accept(ended[1], password=PASSWORD))
    assert [each.status_code for each in answers] == [409] * 3
    assert ["void" in each.json()["detail"] for each in answers] == [True, False, True]
    assert "role of the invitation was deleted" in answers[1].json()["detail"]
    assert not {wide[0], deleted[0], ended[0]} & _members(mailed).keys()


async def test_who_cannot_join_is_refused_and_the_link_stays_valid(mailed: MailedGateway) -> None:
    """A member already, a disabled person, a suspended tenant."""
    email = "viewer@globex.example"
    await mailed.invited(email)
    token = await mailed.another_token(email)
    mailed.execute("UPDATE tenantry.tenants SET status = 'suspended' WHERE slug = 'acme'")
    assert (await mailed.accept(token)).json()["code"] == "tenant_suspended"
    mailed.execute("UPDATE tenantry.tenants SET status = 'active'")
    mailed.execute("UPDATE tenantry.users SET disabled_at = now() WHERE email = %s", email)
    assert (await mailed.accept(token)).json()["code"] == "credential_invalid"
    mailed.execute("UPDATE tenantry.users SET disabled_at = NULL")
    mailed.execute(
        "INSERT INTO tenantry.memberships (tenant_id, user_id, roles) SELECT t.id, u.id, '{viewer}'"
        " FROM tenantry.tenants t, tenantry.users u WHERE t.slug = 'acme' AND u.email = %s",
        email,
    )
    assert (await mailed.accept(token)).status_code == 409
    assert _members(mailed)[email] == ["viewer"]
    mailed.execute("DELETE FROM tenantry.memberships USING tenantry.users WHERE user_id = id AND email = %s", email)
    assert (await mailed.accept(token)).status_code == 200


def _limit(mailed: MailedGateway, members: int) -> None:
    mailed.execute(
        "UPDATE tenantry.plans SET features = features || jsonb_build_object('members', %s::int) WHERE code = 'scale'",
        members,
    )


async def test_a_full_plan_is_refused_when_inviting_and_when_accepting(mailed: MailedGateway) -> None:
    """ID10, TH7: members and pending invitations count; what is over after a smaller plan is not accepted."""
    _limit(mailed, 6)
    members = len(_members(mailed))
    assert members == 4
    (_, first), (email, _) = await _link(mailed), await _link(mailed)
    refused = await mailed.invite(someone())
    assert (refused.status_code, refused.json()["code"]) == (403, "entitlement_required")
    _limit(mailed, 5)
    assert (await mailed.accept(first, password=PASSWORD)).status_code == 200
    token = await mailed.another_token(email)
    assert (await mailed.accept(token, password=PASSWORD)).json()["code"] == "entitlement_required"
    me = await mailed.gateway.client.get("/v1/me", headers=mailed.gateway.acme.key())
    assert isinstance(me.json()["plan"]["features"]["members"], int)
    _limit(mailed, 6)
    assert (await mailed.accept(token, password=PASSWORD)).status_code == 200


_FIFTY_INVITED = """
    WITH people AS (
        INSERT INTO tenantry.users (id, email, password_hash)
        SELECT gen_random_uuid(), 'p' || n || '@example.org', 'a hash' FROM generate_series(1, %s) n
        RETURNING email
    )
    INSERT INTO tenantry.invitations (id, tenant_id, email, role, inviter_kind, expires_at)
    SELECT gen_random_uuid(), t.id, p.email, 'viewer', 'system', now() + interval '1 day'
    FROM people p, tenantry.tenants t WHERE t.slug = 'acme'
"""


async def test_concurrent_acceptances_fill_a_plan_exactly(mailed: MailedGateway) -> None:
    """AZ6, TH7: 50 people at once for 20 free memberships: 20 join, 30 get 403."""
    mailed.execute(_FIFTY_INVITED, _AT_ONCE)
    tokens = [await mailed.another_token(f"p{number}@example.org") for number in range(1, _AT_ONCE + 1)]
    _limit(mailed, 24)

    outcomes = await asyncio.gather(*(_outcome(mailed, token) for token in tokens))
    assert Counter(outcomes) == {"joined": 20, "entitlement_required": 30}
    assert len(_members(mailed)) == 24
