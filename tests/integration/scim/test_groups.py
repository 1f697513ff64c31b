"""``/scim/v2/Groups`` and ``/v1/scim``: groups, the roles that they give, and who may map them."""

import time
from typing import Any

import pytest

from tests.fixtures.gateways import PASSWORD, Gateway, GatewayFactory
from tests.fixtures.people import execute
from tests.fixtures.scim import GROUP, Provider, provider_of, refusal

pytestmark = pytest.mark.anyio
_SETTINGS = "/v1/scim/settings"
_MANY = 1_000


@pytest.fixture
async def provider(gateway: Gateway) -> Provider:
    return await provider_of(gateway)


async def _roles(provider: Provider, user: str) -> tuple[list[str], list[str]]:
    """All roles of a member, and those of groups among them."""
    member = await provider.member(user)
    return member["roles"], member["group_roles"]


async def _role(provider: Provider, name: str, *permissions: str, **more: Any) -> str:
    body = {"name": name, "permissions": list(permissions), **more}
    made = await provider.gateway.client.post("/v1/roles", json=body, headers=provider.gateway.acme.key("owner"))
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def test_a_mapped_group_gives_its_role_while_one_is_in_it(provider: Provider) -> None:
    """A role that is given by hand as well, or by another group, stays; each way out of the group is one."""
    await _role(provider, "support", "contacts:read")
    ada, bea = [(await provider.user(name))["id"] for name in ("ada", "bea")]
    staff, others = (await provider.group("Staff", ada))["id"], (await provider.group("Others"))["id"]
    assert (await provider.map(staff, "support")).json()["role"] == "support"
    assert [await _roles(provider, each) for each in (ada, bea)] == [
        (["member", "support"], ["support"]),
        (["member"], []),
    ]
    assert (await provider.map(others, "support")).status_code == 200
    add, remove = ({"op": op, "path": "members", "value": [{"value": ada}]} for op in ("add", "remove"))
    assert (await provider.patch(f"/Groups/{others}", add)).status_code == 204
    assert (await provider.patch(f"/Groups/{staff}", remove)).status_code == 204
    assert (await _roles(provider, ada))[1] == ["support"], "the other group gives it too"
    changed = await provider.gateway.client.patch(
        f"/v1/members/{ada}", json={"roles": ["viewer", "support"]}, headers=provider.gateway.acme.key("owner")
    )
    assert sorted(changed.json()["roles"]) == ["support", "viewer"]
    assert (await provider.send("DELETE", f"/Groups/{others}")).status_code == 204
    assert await _roles(provider, ada) == (["support", "viewer"], []), "by hand it stays"
    assert (
        await provider.patch(f"/Groups/{staff}", {"op": "add", "path": "members", "value": {"value": bea}})
    ).is_success
    assert (await provider.map(staff, None)).json()["role"] is None
    assert await _roles(provider, bea) == (["member"], [])


async def test_a_change_of_groups_ends_sessions_on_every_worker(gateways: GatewayFactory) -> None:
    """ID4, ID11: of those whose roles change, and of no others."""
    async with gateways() as gateway, gateways() as other:
        provider = await provider_of(gateway)
        body = {"userName": "viewer@acme.example"}
        viewer = (await provider.send("POST", "/Users", body)).json()["id"]
        member = (await provider.send("POST", "/Users", {"userName": "member@acme.example"})).json()["id"]
        staff = (await provider.group("Staff", member))["id"]
        await provider.map(staff, "member")
        logins = {}
        for name in ("viewer", "member"):
            login = {"email": f"{name}@acme.example", "password": PASSWORD, "tenant": "acme"}
            logins[name] = (await gateway.client.post("/v1/auth/login", json=login)).json()
        add = {"op": "add", "path": "members", "value": [{"value": viewer}]}
        assert (await provider.patch(f"/Groups/{staff}", add)).status_code == 204
        await other.catch_up()

        async def me(grant: dict[str, Any]) -> Any:
            bearer = {"Authorization": f"Bearer {grant['access_token']}"}
            return await other.client.get("/v1/me", headers=bearer)

        assert (await me(logins["viewer"])).json()["code"] == "credential_revoked"
        assert (await me(logins["member"])).status_code == 200, "the role was theirs by hand"
        login = {"email": "viewer@acme.example", "password": PASSWORD, "tenant": "acme"}
        again = (await gateway.client.post("/v1/auth/login", json=login)).json()
        assert (await me(again)).json()["principal"]["roles"] == ["viewer", "member"]
        bearer = {"Authorization": f"Bearer {again['access_token']}"}
        assert (await other.client.post("/v1/contacts", json={"name": "Ada"}, headers=bearer)).status_code == 201


async def test_nobody_maps_a_group_to_more_than_they_hold(provider: Provider) -> None:
    """AZ5: nor changes one that gives more; a role that manages owners is mapped by no one, AZ6."""
    client, acme = provider.gateway.client, provider.gateway.acme
    await _role(provider, "above", inherits=["owner"])
    await _role(provider, "directory", "scim:manage", "contacts:read", "deals:read")
    made = await client.post("/v1/api-keys", json={"name": "n", "role": "directory"}, headers=acme.key("owner"))
    narrow = {"X-API-Key": made.json()["secret"]}
    staff = (await provider.group("Staff"))["id"]
    assert (await provider.map(staff, "member", by=narrow)).status_code == 403
    assert (await provider.map(staff, "viewer", by=narrow)).status_code == 200
    assert (await provider.map(staff, "admin", by=acme.key("admin"))).status_code == 200
    assert (await provider.map(staff, None, by=narrow)).status_code == 403
    assert (await provider.map(staff, "viewer", by=dict(provider.headers))).status_code == 403
    for role in ("owner", "above", "nothing", "OWNER"):
        answer = await provider.map(staff, role)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/role"), role
    assert (await client.patch(_SETTINGS, json={"default_role": "owner"}, headers=acme.key("owner"))).status_code == 422
    assert (await client.patch(_SETTINGS, json={"default_role": "admin"}, headers=narrow)).status_code == 403
    assert (await provider.map(staff, "viewer", by=acme.key("member"))).status_code == 403


async def test_new_users_have_the_default_role(provider: Provider) -> None:
    """A role that is in use here cannot be deleted."""
    client, owner = provider.gateway.client, provider.gateway.acme.key("owner")
    role = await _role(provider, "support", "contacts:read")
    settings = await client.get(_SETTINGS, headers=owner)
    assert settings.json() == {"base_url": "http://gateway.test/scim/v2", "default_role": "member"}
    current = owner | {"If-Match": settings.headers["etag"]}
    assert (await client.patch(_SETTINGS, json={"default_role": "support"}, headers=current)).status_code == 200
    assert (await client.patch(_SETTINGS, json={"default_role": "viewer"}, headers=current)).status_code == 412
    assert await _roles(provider, (await provider.user("ada"))["id"]) == (["support"], [])
    assert (await client.delete(f"/v1/roles/{role}", headers=owner)).status_code == 409
    assert (await client.patch(_SETTINGS, json={"default_role": "viewer"}, headers=owner)).status_code == 200


async def test_groups_are_listed_with_their_roles(provider: Provider) -> None:
    """GET /v1/scim/groups: for the admins who map them; a role of a group cannot be deleted."""
    role = await _role(provider, "support", "contacts:read")
    groups = [await provider.group(name) for name in ("Staff", "Others")]
    assert (await provider.map(groups[0]["id"], "support")).status_code == 200
    client, owner = provider.gateway.client, provider.gateway.acme.key("owner")
    page = (await client.get("/v1/scim/groups", params={"sort": "created_at"}, headers=owner)).json()
    assert [(each["display_name"], each["role"]) for each in page["data"]] == [("Staff", "support"), ("Others", None)]
    one = await client.get(f"/v1/scim/groups/{groups[0]['id']}", headers=owner)
    assert one.json() == page["data"][0]
    stale = owner | {"If-Match": one.headers["etag"]}
    assert (await client.delete(f"/v1/roles/{role}", headers=owner)).status_code == 409
    assert (await provider.map(groups[0]["id"], None, by=stale)).status_code == 200
    assert (await provider.map(groups[0]["id"], "viewer", by=stale)).status_code == 412
    assert (await client.delete(f"/v1/roles/{role}", headers=owner)).status_code == 204


async def test_what_is_not_a_group_is_refused(provider: Provider) -> None:
    """AZ4: members of another tenant look like unknown ones; all operations or none."""
    elsewhere = await provider_of(provider.gateway, provider.gateway.globex)
    foreign, foreign_group = (await elsewhere.user("ada"))["id"], (await elsewhere.group("Staff"))["id"]
    ada = (await provider.user("bea"))["id"]
    staff = await provider.group("Staff", ada)
    path = f"/Groups/{staff['id']}"
    for user in (foreign, foreign[:-4] + "0000", staff["id"], "no-id"):
        for answer in (
            await provider.patch(path, {"op": "add", "path": "members", "value": [{"value": user}]}),
            await provider.send("PUT", path, {"displayName": "Staff", "members": [{"value": user}]}),
            await provider.send("POST", "/Groups", {"displayName": "New", "members": [{"value": user}]}),
        ):
            assert refusal(answer) == (400, "invalidValue")
    rename = {"op": "replace", "path": "displayName", "value": "Renamed"}
    for bad, keyword in (
        ({"op": "replace", "path": "id", "value": "x"}, "mutability"),
        ({"op": "replace", "path": "role", "value": "owner"}, "invalidPath"),
        ({"op": "add", "path": f'members[value eq "{ada}"]', "value": {}}, "invalidPath"),
        ({"op": "add", "path": "members", "value": [ada]}, "invalidValue"),
        ({"op": "remove", "path": "displayName"}, "invalidValue"),
        ({"op": "remove"}, "noTarget"),
    ):
        assert refusal(await provider.patch(path, rename, bad)) == (400, keyword), bad
    assert (await provider.get(path)).json() == staff
    assert refusal(await provider.send("POST", "/Groups", {"displayName": "STAFF"})) == (409, "uniqueness")
    others = f"/Groups/{(await provider.group('Others'))['id']}"
    assert refusal(await provider.patch(others, {"op": "replace", "path": "displayName", "value": "staff"}))[0] == 409
    assert refusal(await provider.get("/Groups", filter='displayName co "x"')) == (400, "invalidFilter")
    for group in (foreign_group, foreign_group[:-4] + "0000", "no-id"):
        assert refusal(await provider.get(f"/Groups/{group}")) == (404, None)
        assert refusal(await provider.patch(f"/Groups/{group}", rename)) == (404, None)
        assert (await provider.map(group, "viewer")).status_code == 404
    stale = {"If-Match": staff["meta"]["version"]}
    assert (await provider.patch(path, rename)).status_code == 204
    assert refusal(await provider.send("DELETE", path, **stale)) == (412, None)


async def test_a_thousand_members_are_added_at_once(provider: Provider) -> None:
    """LD1: in one PATCH of a mapped group, and taken out again; three thousand are refused before they are read."""
    execute(
        provider.gateway,
        "WITH made AS (INSERT INTO tenantry.users (id, email) SELECT gen_random_uuid(), 'm' || n || '@acme.example'"
        " FROM generate_series(1, %s) n RETURNING id), joined AS (INSERT INTO tenantry.memberships"
        " (tenant_id, user_id, roles) SELECT tenants.id, made.id, '{viewer}' FROM made, tenantry.tenants"
        " WHERE slug = 'acme' RETURNING tenant_id, user_id) SELECT 1",
        _MANY,
    )
    execute(
        provider.gateway,
        "INSERT INTO tenantry.scim_users (tenant_id, user_id, user_name, attributes) SELECT tenant_id, user_id, email,"
        " '{}' FROM tenantry.memberships JOIN tenantry.users ON id = user_id WHERE email ~ '^m[0-9]+@acme.example'",
    )
    page = [(await provider.get("/Users", startIndex=1 + 200 * at, count=500)).json() for at in range(_MANY // 200)]
    users = [each["id"] for one in page for each in one["Resources"]]
    assert (len(users), page[0]["itemsPerPage"]) == (_MANY, 200)
    staff = (await provider.group("Staff"))["id"]
    await provider.map(staff, "member")
    path = f"/Groups/{staff}"
    members = [{"value": each, "display": f"member {each}"} for each in users]
    began = time.perf_counter()
    assert (await provider.patch(path, {"op": "add", "path": "members", "value": members})).status_code == 204
    assert time.perf_counter() - began < 5
    assert len((await provider.get(path)).json()["members"]) == _MANY
    assert await _roles(provider, users[-1]) == (["viewer", "member"], ["member"])
    assert (await provider.patch(path, {"op": "remove", "path": "members"})).status_code == 204
    assert await _roles(provider, users[-1]) == (["viewer"], [])
    too_many = {"op": "add", "path": "members", "value": members * 3}
    assert refusal(await provider.patch(path, too_many)) == (413, None)


async def test_a_page_of_groups_is_bounded_by_their_members(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LD1: groups are left for the next page, at least one is on each; without members there is no such bound."""
    monkeypatch.setattr("tenants.scim.groups.MOST_MEMBERS", 3)
    users = [(await provider.user(name))["id"] for name in ("ada", "bea")]
    for name in ("One", "Two", "Three"):
        await provider.group(name, *users)
    page = (await provider.get("/Groups")).json()
    assert (page["totalResults"], page["itemsPerPage"], len(page["Resources"])) == (3, 1, 1)
    assert (await provider.get("/Groups", excludedAttributes="members")).json()["itemsPerPage"] == 3
    more = [(await provider.user(name))["id"] for name in ("cleo", "dora")]
    body = {"schemas": [GROUP], "displayName": "Four", "members": [{"value": each} for each in (*users, *more)]}
    assert refusal(await provider.send("POST", "/Groups", body)) == (400, "invalidValue")
