"""``PATCH /v1/members/{id} {"disabled"}``: a person who cannot sign in to one tenant, and can to others."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import psycopg
import pytest

from tests.fixtures.gateways import PASSWORD, Gateway, GatewayFactory

pytestmark = pytest.mark.anyio
_MEMBERS = "/v1/members"


def _execute(gateway: Gateway, statement: str) -> None:
    with psycopg.connect(gateway.urls.owner, autocommit=True) as connection:
        connection.execute(statement.encode())


async def _ids(gateway: Gateway) -> dict[str, str]:
    """Ids of acme's members by the part of their address before the @."""
    page = (await gateway.client.get(_MEMBERS, headers=gateway.acme.key("owner"))).json()
    return {each["email"].split("@")[0]: each["id"] for each in page["data"]}


async def _change(gateway: Gateway, user: str, by: Mapping[str, str] | None = None, **body: Any) -> httpx.Response:
    return await gateway.client.patch(f"{_MEMBERS}/{user}", json=body, headers=by or gateway.acme.key("owner"))


async def _log_in(gateway: Gateway, name: str, tenant: str = "acme", password: str = PASSWORD) -> httpx.Response:
    body = {"email": f"{name}@acme.example", "password": password, "tenant": tenant}
    return await gateway.client.post("/v1/auth/login", json=body)


async def _statuses(gateway: Gateway, grant: Mapping[str, Any]) -> tuple[int, int]:
    """Of a request with the access token, and of a refresh."""
    bearer = {"Authorization": f"Bearer {grant['access_token']}"}
    refresh = {"refresh_token": grant["refresh_token"]}
    read = await gateway.client.get("/v1/me", headers=bearer)
    return read.status_code, (await gateway.client.post("/v1/auth/refresh", json=refresh)).status_code


async def test_a_disabled_member_has_no_access_to_this_tenant_alone(gateways: GatewayFactory) -> None:
    """ID4, ID10, ID15: in force on every worker; nothing changes elsewhere; enabling revives no session."""
    async with gateways() as gateway, gateways() as other:
        _execute(
            gateway,
            "INSERT INTO tenantry.memberships (tenant_id, user_id, roles) SELECT tenants.id, users.id, '{viewer}'"
            " FROM tenantry.tenants, tenantry.users WHERE slug = 'globex' AND email = 'member@acme.example'",
        )
        member = (await _ids(gateway))["member"]
        here, there = (await _log_in(gateway, "member")).json(), (await _log_in(gateway, "member", "globex")).json()
        bearer = {"Authorization": f"Bearer {here['access_token']}"}
        assert (await other.client.get("/v1/me", headers=bearer)).status_code == 200
        changed = await _change(gateway, member, disabled=True)
        assert (changed.status_code, changed.json()["disabled"]) == (200, True)
        assert (changed.json()["account_disabled"], changed.json()["roles"]) == (False, ["member"])
        await gateway.catch_up()
        await other.catch_up()
        for each in (gateway, other):
            assert await _statuses(each, here) == (401, 401)
            assert (await _statuses(each, there))[0] == 200
        bearer = {"Authorization": f"Bearer {there['access_token']}"}
        switched = await gateway.client.post("/v1/auth/switch", json={"tenant": "acme"}, headers=bearer)
        assert switched.status_code == 404
        tenants = (await gateway.client.get("/v1/auth/tenants", headers=bearer)).json()["data"]
        assert [each["slug"] for each in tenants] == ["globex"]
        refused, wrong = await _log_in(other, "member"), await _log_in(other, "member", password="not the passphrase")
        assert (refused.status_code, refused.json()["detail"]) == (401, wrong.json()["detail"])
        assert (await _change(gateway, member, disabled=False)).json()["disabled"] is False
        await gateway.catch_up()
        assert await _statuses(gateway, here) == (401, 401)
        assert await _statuses(gateway, (await _log_in(gateway, "member")).json()) == (200, 200)


async def test_a_session_begun_while_a_member_is_disabled_ends_too(gateway: Gateway) -> None:
    """ID15: a sign-in and a refresh that race with the change leave nothing for the time when it is undone."""
    member = (await _ids(gateway))["member"]
    for _ in range(3):
        before = (await _log_in(gateway, "member")).json()
        racing, refreshed, changed = await asyncio.gather(
            _log_in(gateway, "member"),
            gateway.client.post("/v1/auth/refresh", json={"refresh_token": before["refresh_token"]}),
            _change(gateway, member, disabled=True),
        )
        assert changed.status_code == 200
        assert (await _change(gateway, member, disabled=False)).status_code == 200
        await gateway.catch_up()
        for each in (racing, refreshed):
            if each.status_code == 200:
                assert await _statuses(gateway, each.json()) == (401, 401)


async def test_the_last_owner_cannot_be_disabled(gateway: Gateway) -> None:
    """AZ6: alone, as one of two at once, and where the other owner is disabled already."""
    members = await _ids(gateway)
    owner, admin = members["owner"], members["admin"]
    assert (await _change(gateway, owner, disabled=True)).status_code == 409
    assert (await _change(gateway, admin, roles=["owner"], disabled=True)).status_code == 200
    for body in ({"disabled": True}, {"roles": ["viewer"]}):
        assert (await _change(gateway, owner, **body)).status_code == 409
    assert (await gateway.client.delete(f"{_MEMBERS}/{owner}", headers=gateway.acme.key("owner"))).status_code == 409
    for _ in range(5):
        enabled = [await _change(gateway, each, disabled=False) for each in (owner, admin)]
        assert {each.status_code for each in enabled} == {200}
        answers = await asyncio.gather(*(_change(gateway, each, disabled=True) for each in (owner, admin)))
        assert sorted(each.status_code for each in answers) == [200, 409]


async def test_nobody_disables_or_enables_a_member_who_holds_more(gateway: Gateway) -> None:
    """AZ5: neither an owner by an admin, nor a member by a key that lacks a permission of theirs."""
    members, admin = await _ids(gateway), gateway.acme.key("admin")
    role = {"name": "people", "permissions": ["members:update", "contacts:read", "deals:read"]}
    assert (await gateway.client.post("/v1/roles", json=role, headers=admin)).status_code == 201
    made = await gateway.client.post("/v1/api-keys", json={"name": "test", "role": "people"}, headers=admin)
    narrow = {"X-API-Key": made.json()["secret"]}
    for disabled in (True, False):
        assert (await _change(gateway, members["owner"], by=admin, disabled=disabled)).status_code == 403
        assert (await _change(gateway, members["member"], by=narrow, disabled=disabled)).status_code == 403
        assert (await _change(gateway, members["viewer"], by=narrow, disabled=disabled)).status_code == 200
    assert (await _change(gateway, members["viewer"], disabled=None)).status_code == 422
