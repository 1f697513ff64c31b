"""A person's own sessions: listed, ended, begun in another tenant, and ended everywhere."""

from typing import Any

import pytest

from tenants.sign_in.sessions import forget_old_sessions
from tests.fixtures.gateways import Gateway, GatewayFactory
from tests.fixtures.people import SignedIn, execute, sign_in

pytestmark = pytest.mark.anyio
_SESSIONS, _SWITCH, _TENANTS = "/v1/auth/sessions", "/v1/auth/switch", "/v1/auth/tenants"
_JOIN = (
    "INSERT INTO tenantry.memberships (tenant_id, user_id, roles) SELECT tenants.id, users.id, '{viewer}'"
    " FROM tenantry.tenants, tenantry.users WHERE slug = 'globex' AND email = 'member@acme.example'"
)
_EXPIRE_LATEST = (
    "UPDATE tenantry.refresh_tokens SET expires_at = now()"
    " WHERE family_id = (SELECT id FROM tenantry.sign_ins ORDER BY started_at DESC LIMIT 1)"
)


async def _listed(person: SignedIn) -> list[dict[str, Any]]:
    answer = await person.get(_SESSIONS, sort="created_at")
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


async def _log_out(person: SignedIn, **options: bool) -> int:
    body = {"refresh_token": person.refresh_token, **options}
    return (await person.gateway.client.post("/v1/auth/logout", json=body)).status_code


async def _switched(person: SignedIn) -> SignedIn:
    return SignedIn.of(person.gateway, await person.post(_SWITCH, tenant="globex"))


async def test_a_person_lists_their_own_sessions(gateway: Gateway) -> None:
    """ID11: with methods, client and latest use; none of another person, and none that has ended or expired."""
    first, second = await sign_in(gateway, agent="phone\t1"), await sign_in(gateway, agent="x" * 500)
    await sign_in(gateway, "owner")
    await _log_out(await sign_in(gateway))
    await sign_in(gateway)
    execute(gateway, _EXPIRE_LATEST)
    listed = await _listed(second)
    assert [(each["user_agent"], each["current"]) for each in listed] == [("phone1", False), ("x" * 200, True)]
    assert all((each["tenant"], each["methods"]) == ("acme", ["pwd"]) for each in listed)
    assert all(each["id"].startswith("ses_") for each in listed)
    assert (await first.refreshed()).status_code == 200
    again = (await _listed(second))[0]
    assert (again["id"], again["started_at"]) == (listed[0]["id"], listed[0]["started_at"])
    assert again["last_used_at"] > listed[0]["last_used_at"]


async def test_a_person_ends_one_of_their_sessions(gateway: Gateway) -> None:
    """ID4, ID11: at once, and once; the other one goes on."""
    mine, lost = await sign_in(gateway), await sign_in(gateway)
    shown = next(each["id"] for each in await _listed(mine) if not each["current"])
    assert (await mine.delete(f"{_SESSIONS}/{shown}")).status_code == 204
    assert await lost.is_over()
    assert not await mine.is_over()
    assert (await mine.delete(f"{_SESSIONS}/{shown}")).status_code == 404


async def test_the_session_of_another_person_looks_like_an_unknown_one(gateway: Gateway) -> None:
    """AZ4: byte for byte but the request id; it goes on."""
    mine, other = await sign_in(gateway), await sign_in(gateway, "viewer")
    shown = (await _listed(other))[0]["id"]
    unknown = shown[:-4] + ("0000" if shown[-4:] != "0000" else "1111")
    answers = [await mine.delete(f"{_SESSIONS}/{each}") for each in (shown, unknown, "ses_x")]
    assert {each.status_code for each in answers} == {404}
    assert len({each.content.replace(each.headers["x-request-id"].encode(), b"") for each in answers}) == 1
    assert not await other.is_over()


async def test_switching_begins_a_session_in_the_other_tenant(gateway: Gateway) -> None:
    """ID11: a token for one tenant, with the methods of the current session, which goes on; two tabs cannot mix."""
    execute(gateway, _JOIN)
    mine = await sign_in(gateway, agent="browser")
    other = await _switched(mine)
    for session, slug, roles in ((mine, "acme", ["member"]), (other, "globex", ["viewer"])):
        me = (await session.get("/v1/me")).json()
        assert (me["tenant"]["slug"], me["principal"]["roles"]) == (slug, roles)
    tenants = (await other.get(_TENANTS, sort="created_at")).json()["data"]
    assert [(each["slug"], each["roles"], each["current"]) for each in tenants] == [
        ("acme", ["member"], False),
        ("globex", ["viewer"], True),
    ]
    assert [(each["tenant"], each["methods"]) for each in await _listed(mine)] == [
        ("acme", ["pwd"]),
        ("globex", ["pwd"]),
    ]


async def test_a_tenant_without_membership_looks_like_an_unknown_one(gateway: Gateway) -> None:
    """AZ4: byte for byte but the request id; also to a member who is disabled there, and whose list lacks it."""
    mine = await sign_in(gateway)
    answers = [await mine.post(_SWITCH, tenant=each) for each in ("globex", "nothing")]
    execute(gateway, _JOIN)
    execute(gateway, "UPDATE tenantry.memberships SET disabled_at = now() WHERE roles = '{viewer}'")
    answers.append(await mine.post(_SWITCH, tenant="globex"))
    assert [each["slug"] for each in (await mine.get(_TENANTS)).json()["data"]] == ["acme"]
    assert {each.status_code for each in answers} == {404}
    assert len({each.content.replace(each.headers["x-request-id"].encode(), b"") for each in answers}) == 1


async def test_only_members_learn_that_the_other_tenant_is_suspended(gateway: Gateway) -> None:
    """AZ4: 403 for them, 404 for others."""
    execute(gateway, "UPDATE tenantry.tenants SET status = 'suspended' WHERE slug = 'globex'")
    mine = await sign_in(gateway)
    assert (await mine.post(_SWITCH, tenant="globex")).status_code == 404
    execute(gateway, _JOIN)
    assert (await mine.post(_SWITCH, tenant="globex")).json()["code"] == "tenant_suspended"


async def test_single_sign_on_is_valid_for_its_tenant_alone(gateway: Gateway) -> None:
    """AZ4: the identity provider of one tenant opens no other one, and shows nothing of it."""
    execute(gateway, _JOIN)
    mine = await sign_in(gateway)
    elsewhere = await _switched(mine)
    foreign = next(each["id"] for each in await _listed(mine) if each["tenant"] == "globex")
    execute(gateway, "UPDATE tenantry.sign_ins SET methods = '{fed}'")  # as if both had come from a provider
    mine = SignedIn.of(gateway, await mine.refreshed())
    assert (await mine.post(_SWITCH, tenant="globex")).json()["code"] == "forbidden"
    assert [each["slug"] for each in (await mine.get(_TENANTS)).json()["data"]] == ["acme"]
    assert {each["tenant"] for each in await _listed(mine)} == {"acme"}
    assert (await mine.delete(f"{_SESSIONS}/{foreign}")).status_code == 404
    assert not await elsewhere.is_over()


async def test_an_api_key_has_no_sessions(gateway: Gateway) -> None:
    """AZ1: they are a person's, whatever the role of the key."""
    for method, path in (("GET", _SESSIONS), ("GET", _TENANTS), ("POST", _SWITCH)):
        body = {"tenant": "acme"} if method == "POST" else None
        answer = await gateway.client.request(method, path, json=body, headers=gateway.acme.key("owner"))
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_signing_out_everywhere_ends_all_sessions_in_all_tenants(gateways: GatewayFactory) -> None:
    """ID4, ID11: on every worker; of this person alone, and only by a token that is valid."""
    async with gateways() as one, gateways() as two:
        execute(one, _JOIN)
        mine, second = await sign_in(one), await sign_in(two)
        elsewhere, other = await _switched(mine), await sign_in(two, "viewer")
        ended = await sign_in(one)
        assert await _log_out(ended) == 204
        assert await _log_out(ended, everywhere=True) == 204
        assert not await second.is_over()
        assert await _log_out(mine, everywhere=True) == 204
        for each in (mine, second, elsewhere):
            assert await each.is_over()
        assert not await other.is_over()
        assert (await mine.post(_SWITCH, tenant="globex")).status_code == 401


async def test_sessions_that_ended_long_ago_are_deleted(gateway: Gateway) -> None:
    """ID15: with their refresh tokens, when no access token of theirs can be valid; others stay."""
    kept, ended, expired = await sign_in(gateway), await sign_in(gateway), await sign_in(gateway)
    shown = [each["id"] for each in await _listed(kept)]
    aged = "UPDATE tenantry.sign_ins SET {} WHERE id = (SELECT id FROM tenantry.sign_ins ORDER BY id OFFSET {} LIMIT 1)"
    execute(gateway, aged.format("ended_at = now() - interval '25 hours'", 1))
    execute(gateway, aged.format("last_used_at = now() - interval '92 days'", 2))
    await forget_old_sessions(gateway.services.database)
    assert [each["id"] for each in await _listed(kept)] == shown[:1]
    for gone in (ended, expired):
        assert (await gone.refreshed()).json()["code"] == "credential_invalid"
