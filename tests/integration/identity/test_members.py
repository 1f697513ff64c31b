"""``/v1/members``: the people of a tenant, who may give them roles, and the owner who remains."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import psycopg
import pytest

from tenants.identifiers import USER, UserId, read
from tests.fixtures.gateways import PASSWORD, Gateway, GatewayFactory

pytestmark = pytest.mark.anyio
_MEMBERS = "/v1/members"
_ATTEMPTS = 100


async def _members(gateway: Gateway) -> dict[str, dict[str, Any]]:
    """By the part of their address before the @."""
    page = (await gateway.client.get(_MEMBERS, params={"limit": 100}, headers=gateway.acme.key("owner"))).json()
    return {each["email"].split("@")[0]: each for each in page["data"]}


async def _set(gateway: Gateway, user: str, *roles: str, by: Mapping[str, str] | None = None) -> httpx.Response:
    headers = by or gateway.acme.key("owner")
    return await gateway.client.patch(f"{_MEMBERS}/{user}", json={"roles": list(roles)}, headers=headers)


async def _remove(gateway: Gateway, user: str, by: Mapping[str, str] | None = None) -> httpx.Response:
    return await gateway.client.delete(f"{_MEMBERS}/{user}", headers=by or gateway.acme.key("owner"))


async def _log_in(gateway: Gateway, name: str) -> dict[str, Any]:
    body = {"email": f"{name}@acme.example", "password": PASSWORD, "tenant": "acme"}
    answer = await gateway.client.post("/v1/auth/login", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def _bearer(grant: Mapping[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {grant['access_token']}"}


async def _me(gateway: Gateway, grant: Mapping[str, Any]) -> httpx.Response:
    return await gateway.client.get("/v1/me", headers=_bearer(grant))


async def _refresh(gateway: Gateway, grant: Mapping[str, Any]) -> httpx.Response:
    return await gateway.client.post("/v1/auth/refresh", json={"refresh_token": grant["refresh_token"]})


async def _session_of(gateway: Gateway, user: str) -> dict[str, str]:
    """A session without a password."""
    identifier, tenant = read(USER, user), gateway.acme.ref.id
    assert identifier is not None
    async with gateway.services.database.control() as session:
        grant = await gateway.services.features.people.sign_in.open_session(
            session, UserId(identifier), tenant, methods=["pwd"], client=None
        )
    return {"Authorization": f"Bearer {grant.access_token}"}


def _execute(gateway: Gateway, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(gateway.urls.owner, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def _owners(gateway: Gateway) -> int:
    query = (
        "SELECT count(*) FROM tenantry.memberships JOIN tenantry.tenants ON id = tenant_id"
        " WHERE slug = 'acme' AND 'owner' = ANY (roles)"
    )
    return int(_execute(gateway, query)[0][0])


async def test_members_are_listed_read_and_changed(gateway: Gateway) -> None:
    """GET and PATCH /v1/members, with ETag and If-Match; the page holds no other tenant's members."""
    members, owner = await _members(gateway), gateway.acme.key("owner")
    assert members.keys() == {"owner", "admin", "member", "viewer"}
    assert all(each["email"].endswith("@acme.example") for each in members.values())
    viewer = members["viewer"]
    assert (viewer["roles"], viewer["disabled"]) == (["viewer"], False)
    read = await gateway.client.get(f"{_MEMBERS}/{viewer['id']}", headers=owner)
    assert read.json() == viewer
    current = owner | {"If-Match": read.headers["etag"]}
    changed = await _set(gateway, viewer["id"], "member", "viewer", "viewer", by=current)
    assert (changed.status_code, changed.json()["roles"]) == (200, ["member", "viewer"])
    assert (await _set(gateway, viewer["id"], "viewer", by=current)).status_code == 412
    assert (await _remove(gateway, viewer["id"], by=current)).status_code == 412
    newest = owner | {"If-Match": changed.headers["etag"]}
    assert (await _remove(gateway, viewer["id"], by=newest)).status_code == 204
    assert "viewer" not in await _members(gateway)


async def test_roles_that_cannot_be_given_are_refused(gateway: Gateway) -> None:
    """AZ7, AZ9: none, unknown ones, more than twenty, other fields."""
    viewer = (await _members(gateway))["viewer"]["id"]
    for roles in ([], ["nothing"], ["OWNER"], ["member,owner"], ["*"], ["viewer"] * 21):
        assert (await _set(gateway, viewer, *roles)).status_code == 422, roles
    assert (await _set(gateway, viewer, *["viewer"] * 20)).status_code == 200
    body = {"roles": ["viewer"], "email": "other@acme.example"}
    answer = await gateway.client.patch(f"{_MEMBERS}/{viewer}", json=body, headers=gateway.acme.key("owner"))
    assert answer.status_code == 422


async def test_a_foreign_member_looks_like_an_unknown_one(gateway: Gateway) -> None:
    """AZ4: read, change and remove, byte for byte but the request id."""
    foreign = _execute(gateway, "SELECT id FROM tenantry.users WHERE email = 'viewer@globex.example'")[0][0]
    page = await gateway.client.get(_MEMBERS, headers=gateway.globex.key("owner"))
    shown = next(each["id"] for each in page.json()["data"] if each["email"] == "viewer@globex.example")
    unknown = shown[:-4] + "0000"
    ways: tuple[Callable[[str], Awaitable[httpx.Response]], ...] = (
        lambda user: gateway.client.get(f"{_MEMBERS}/{user}", headers=gateway.acme.key("owner")),
        lambda user: _set(gateway, user, "viewer"),
        lambda user: _remove(gateway, user),
    )
    for send in ways:
        answers = [await send(user) for user in (shown, unknown)]
        assert [each.status_code for each in answers] == [404, 404]
        first, second = (each.content.replace(each.headers["x-request-id"].encode(), b"") for each in answers)
        assert first == second
    assert _execute(gateway, "SELECT roles FROM tenantry.memberships WHERE user_id = %s", foreign) == [(["viewer"],)]


async def test_owners_are_managed_by_owners_alone(gateway: Gateway) -> None:
    """AZ5: an admin gives nobody the role owner, and changes and removes no owner; a narrow member nobody wider."""
    members, admin = await _members(gateway), gateway.acme.key("admin")
    owner, viewer = members["owner"]["id"], members["viewer"]["id"]
    for refused in (
        await _set(gateway, viewer, "owner", by=admin),
        await _set(gateway, members["admin"]["id"], "admin", "owner", by=_bearer(await _log_in(gateway, "admin"))),
        await _set(gateway, owner, "viewer", by=admin),
        await _remove(gateway, owner, by=admin),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), refused.text
    assert (await _set(gateway, viewer, "admin", by=admin)).status_code == 200
    role = {"name": "people", "permissions": ["members:update", "members:remove", "contacts:read", "deals:read"]}
    assert (await gateway.client.post("/v1/roles", json=role, headers=admin)).status_code == 201
    made = await gateway.client.post("/v1/api-keys", json={"name": "test", "role": "people"}, headers=admin)
    narrow = {"X-API-Key": made.json()["secret"]}
    assert (await _set(gateway, members["member"]["id"], "viewer", by=narrow)).status_code == 403
    assert (await _remove(gateway, members["member"]["id"], by=narrow)).status_code == 403
    assert (await _set(gateway, viewer, "viewer")).status_code == 200
    assert (await _set(gateway, viewer, "people", by=narrow)).status_code == 200


async def test_a_person_leaves_a_tenant_without_a_permission(gateway: Gateway) -> None:
    """AZ3: their own membership and no other; a key is not the person. Their sessions end at once."""
    members, grant = await _members(gateway), await _log_in(gateway, "viewer")
    viewer, own = members["viewer"]["id"], _bearer(grant)
    for user in (members["member"]["id"], members["owner"]["id"], viewer.upper(), viewer[:-4] + "0000", "x"):
        assert (await _remove(gateway, user, by=own)).status_code == 403, user
    assert (await _remove(gateway, viewer, by=gateway.acme.key("viewer"))).status_code == 403
    assert (await _set(gateway, viewer, "viewer", by=own)).status_code == 403
    assert (await _remove(gateway, viewer, by=own)).status_code == 204
    assert "viewer" not in await _members(gateway)
    await gateway.catch_up()
    assert (await _me(gateway, grant)).json()["code"] == "credential_revoked"
    assert (await _refresh(gateway, grant)).json()["code"] == "credential_revoked"


async def test_a_change_of_roles_ends_sessions_on_every_worker(gateways: GatewayFactory) -> None:
    """ID4, ID11: access and refresh tokens end with the change; after a new sign-in the new roles are in force."""
    async with gateways() as gateway, gateways() as other:
        member, grant = (await _members(gateway))["member"]["id"], await _log_in(gateway, "member")
        await other.catch_up()
        assert [(await _me(each, grant)).status_code for each in (gateway, other)] == [200, 200]
        assert (await _set(gateway, member, "member")).status_code == 200
        await other.catch_up()
        assert (await _me(other, grant)).status_code == 200, "the same roles end nothing"
        assert (await _set(gateway, member, "viewer")).status_code == 200
        for each in (gateway, other):
            await each.catch_up()
            assert (await _me(each, grant)).json()["code"] == "credential_revoked"
        assert (await _refresh(other, grant)).json()["code"] == "credential_revoked"
        assert (await _me(other, await _log_in(other, "member"))).json()["principal"]["roles"] == ["viewer"]


async def test_adding_a_person_again_revives_no_session(gateway: Gateway) -> None:
    """ID15: neither access nor refresh token of the time before, also when they sign in while they are removed."""
    member = (await _members(gateway))["member"]["id"]
    user, tenant = _execute(
        gateway,
        "SELECT user_id, tenant_id FROM tenantry.memberships JOIN tenantry.users ON user_id = users.id"
        " WHERE email = 'member@acme.example'",
    )[0]
    body = {"email": "member@acme.example", "password": PASSWORD, "tenant": "acme"}
    for _ in range(3):
        grant = await _log_in(gateway, "member")
        racing, refreshed, removed = await asyncio.gather(
            gateway.client.post("/v1/auth/login", json=body),
            _refresh(gateway, await _log_in(gateway, "member")),
            _remove(gateway, member),
        )
        assert removed.status_code == 204
        _execute(
            gateway,
            "INSERT INTO tenantry.memberships (tenant_id, user_id, roles) VALUES (%s, %s, '{member}')",
            tenant,
            user,
        )
        await gateway.catch_up()
        grants = [grant, *(each.json() for each in (racing, refreshed) if each.status_code == 200)]
        for each in grants:
            assert (await _me(gateway, each)).status_code == 401
            assert (await _refresh(gateway, each)).status_code == 401
        assert (await _me(gateway, await _log_in(gateway, "member"))).status_code == 200


async def _settled(send: Any) -> httpx.Response:
    """The response that is not 503: on a slow machine, some of many requests find no connection in time."""
    for _ in range(50):
        answer: httpx.Response = await send()
        if answer.status_code != 503:
            break
    return answer


async def test_the_last_owner_stays_whatever_is_tried_at_once(gateway: Gateway) -> None:
    """AZ6: removed, demoted and leaving, in 100 concurrent attempts; a disabled owner is none."""
    members = await _members(gateway)
    owner, admin = members["owner"]["id"], members["admin"]["id"]
    assert (await _set(gateway, admin, "owner")).status_code == 200
    _execute(gateway, "UPDATE tenantry.users SET disabled_at = now() WHERE email = 'admin@acme.example'")
    own = _bearer(await _log_in(gateway, "owner"))
    ways = (
        lambda: _remove(gateway, owner),
        lambda: _set(gateway, owner, "admin"),
        lambda: _remove(gateway, owner, by=own),
        lambda: _set(gateway, owner, "viewer", by=own),
    )
    answers = await asyncio.gather(*(_settled(ways[number % len(ways)]) for number in range(_ATTEMPTS)))
    assert {(each.status_code, each.json()["code"]) for each in answers} == {(409, "conflict")}
    assert (await _members(gateway))["owner"]["roles"] == ["owner"]


async def test_of_a_hundred_owners_one_remains(gateway: Gateway) -> None:
    """AZ6: all are removed, demoted and leave at once; exactly one attempt is refused."""
    _execute(
        gateway,
        "INSERT INTO tenantry.users (id, email)"
        " SELECT gen_random_uuid(), 'o' || n || '@acme.example' FROM generate_series(2, %s) n",
        _ATTEMPTS,
    )
    _execute(
        gateway,
        "INSERT INTO tenantry.memberships (tenant_id, user_id, roles) SELECT tenants.id, users.id, '{owner}'"
        " FROM tenantry.tenants, tenantry.users WHERE slug = 'acme' AND email ~ '^o[0-9]+@acme.example'",
    )
    page = await gateway.client.get(_MEMBERS, params={"limit": 100}, headers=gateway.acme.key("owner"))
    rest = await gateway.client.get(
        _MEMBERS, params={"limit": 100, "cursor": page.json()["next_cursor"]}, headers=gateway.acme.key("owner")
    )
    owners = [each["id"] for each in page.json()["data"] + rest.json()["data"] if "owner" in each["roles"]]
    assert len(owners) == _ATTEMPTS == _owners(gateway)

    own = {user: await _session_of(gateway, user) for user in owners[::3]}

    def attempt(number: int, user: str) -> Any:
        if number % 3 == 0:
            return _settled(lambda: _remove(gateway, user, by=own[user]))
        return _settled(lambda: _remove(gateway, user) if number % 3 == 1 else _set(gateway, user, "viewer"))

    answers = await asyncio.gather(*(attempt(number, user) for number, user in enumerate(owners)))
    assert sorted(each.status_code for each in answers).count(409) == 1
    assert {each.status_code for each in answers} == {200, 204, 409}
    assert _owners(gateway) == 1


async def test_two_owners_who_end_at_once_leave_one(gateway: Gateway) -> None:
    """AZ6: each of the two transactions would find the other owner, if they ran beside each other."""
    members = await _members(gateway)
    users = [members["owner"]["id"], members["admin"]["id"]]
    for _ in range(8):
        _execute(
            gateway,
            "UPDATE tenantry.memberships SET roles = '{owner}' FROM tenantry.users WHERE user_id = users.id"
            " AND email IN ('owner@acme.example', 'admin@acme.example')",
        )
        answers = await asyncio.gather(*(_settled(lambda user=user: _set(gateway, user, "viewer")) for user in users))
        assert sorted(each.status_code for each in answers) == [200, 409]
