"""``/v1/roles`` and ``/v1/permissions``: tenants' own roles, and what they allow on every worker."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import psycopg
import pytest

from tenants.roles.role_set import MOST_ROLES
from tests.fixtures.gateways import Gateway, GatewayFactory, SeededTenant

pytestmark = pytest.mark.anyio
_ROLES, _KEYS = "/v1/roles", "/v1/api-keys"
_READ, _CREATE, _DELETE = "contacts:read", "contacts:create", "contacts:delete"


async def _make(
    gateway: Gateway, name: str, *permissions: str, by: Mapping[str, str] | None = None, **more: Any
) -> httpx.Response:
    body = {"name": name, "permissions": list(permissions), **more}
    return await gateway.client.post(_ROLES, json=body, headers=by or gateway.acme.key("owner"))


async def _made(gateway: Gateway, name: str, *permissions: str, **more: Any) -> str:
    answer = await _make(gateway, name, *permissions, **more)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def _key(gateway: Gateway, role: str, tenant: SeededTenant | None = None) -> dict[str, str]:
    """Headers with a new key of this role, issued by the owner."""
    by = (tenant or gateway.acme).key("owner")
    answer = await gateway.client.post(_KEYS, json={"name": "test", "role": role}, headers=by)
    assert answer.status_code == 201, answer.text
    return {"X-API-Key": answer.json()["secret"]}


async def _may(gateway: Gateway, key: Mapping[str, str]) -> list[str]:
    answer = await gateway.client.get("/v1/me", headers=dict(key))
    assert answer.status_code == 200, answer.text
    return list(answer.json()["permissions"])


async def _patch(gateway: Gateway, role: str, by: Mapping[str, str], **body: Any) -> httpx.Response:
    return await gateway.client.patch(f"{_ROLES}/{role}", json=body, headers=by)


async def _delete(gateway: Gateway, role: str, by: Mapping[str, str]) -> httpx.Response:
    return await gateway.client.delete(f"{_ROLES}/{role}", headers=by)


async def test_a_role_is_made_read_listed_changed_and_deleted(gateway: Gateway) -> None:
    """POST, GET, PATCH and DELETE /v1/roles, with ETag and If-Match."""
    owner = gateway.acme.key("owner")
    answer = await _make(gateway, "Support", _READ, "usage:read", _READ, inherits=["viewer"], description="Helps.")
    role = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{_ROLES}/{role['id']}"
    assert role["id"].startswith("rol_")
    assert (role["name"], role["built_in"], role["description"]) == ("Support", False, "Helps.")
    assert (role["permissions"], role["inherits"]) == ([_READ, "usage:read"], ["viewer"])
    read = await gateway.client.get(f"{_ROLES}/{role['id']}", headers=owner)
    assert (read.json(), read.headers["etag"]) == (role, answer.headers["etag"])
    stale = owner | {"If-Match": read.headers["etag"]}
    changed = await _patch(gateway, role["id"], stale, permissions=[_DELETE])
    assert (changed.status_code, changed.json()["permissions"]) == (200, [_DELETE])
    assert changed.json()["description"] == "Helps.", "what is not sent stays"
    assert (await _patch(gateway, role["id"], stale, permissions=[])).status_code == 412
    assert (await _delete(gateway, role["id"], stale)).status_code == 412
    assert (await _patch(gateway, role["id"], owner, name="other")).status_code == 422, "AZ7: the name is read-only"
    assert (await _delete(gateway, role["id"], owner)).status_code == 204
    assert (await gateway.client.get(f"{_ROLES}/{role['id']}", headers=owner)).status_code == 404


async def test_pages_have_every_role_once_with_the_built_in_ones(gateway: Gateway) -> None:
    """DA3: in both orders; built-in roles are readable under their ids and cannot be changed."""
    owner, names = gateway.acme.key("owner"), [f"r{number}" for number in range(3)]
    for name in names:
        await _made(gateway, name)
    for sort, expected in (("-created_at", [*reversed(names)]), ("created_at", names)):
        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": 2, "sort": sort}
        while True:
            page = (await gateway.client.get(_ROLES, params=query, headers=owner)).json()
            found += page["data"]
            if not page["has_more"]:
                break
            query["cursor"] = page["next_cursor"]
        assert [each["name"] for each in found if not each["built_in"]] == expected
        assert {each["name"] for each in found if each["built_in"]} == {"owner", "admin", "member", "viewer"}
        assert len(found) == 7
    viewer = next(each for each in found if each["name"] == "viewer")
    assert viewer["permissions"] == [_READ, "deals:read"]
    assert (await gateway.client.get(f"{_ROLES}/{viewer['id']}", headers=owner)).json() == viewer
    assert (await _patch(gateway, viewer["id"], owner, permissions=[])).status_code == 409
    assert (await _delete(gateway, viewer["id"], owner)).status_code == 409


async def test_the_catalogue_says_what_the_caller_holds(gateway: Gateway) -> None:
    answer = await gateway.client.get("/v1/permissions", headers=gateway.acme.key("admin"))
    listed = {each["name"]: each for each in answer.json()["data"]}
    assert listed["owners:manage"] == {"name": "owners:manage", "roles": ["owner"], "held": False}
    assert listed[_READ] == {"name": _READ, "roles": ["owner", "admin", "member", "viewer"], "held": True}
    assert {name for name, each in listed.items() if each["held"]} == set(
        await _may(gateway, gateway.acme.key("admin"))
    )


async def test_a_key_holds_what_its_own_role_holds(gateway: Gateway) -> None:
    """AZ3: with inheritance, and at the route that asks."""
    await _made(gateway, "cleaner", _DELETE, inherits=["viewer"])
    key = await _key(gateway, "cleaner")
    assert await _may(gateway, key) == [_DELETE, _READ, "deals:read"]
    assert (await gateway.client.get("/v1/contacts", headers=key)).status_code == 200
    assert (await gateway.client.post("/v1/contacts", json={"name": "Ada"}, headers=key)).status_code == 403


async def test_roles_of_one_name_in_two_tenants_are_two(gateway: Gateway) -> None:
    """AZ4: each tenant's keys hold what its own role holds, in whatever order they are asked."""
    await _made(gateway, "support", _READ, _DELETE)
    await _made(gateway, "support", _CREATE, by=gateway.globex.key("owner"))
    acme, globex = await _key(gateway, "support"), await _key(gateway, "support", gateway.globex)
    for _ in range(2):
        assert await _may(gateway, acme) == [_DELETE, _READ]
        assert await _may(gateway, globex) == [_CREATE]


async def test_a_foreign_role_looks_like_an_unknown_one(gateway: Gateway) -> None:
    """AZ4: read, change and delete, by id; assign and inherit, by name."""
    foreign = await _made(gateway, "support", _READ, by=gateway.globex.key("owner"))
    owner, unknown = gateway.acme.key("owner"), foreign[:-4] + "0000"
    ways: tuple[Callable[[str], Awaitable[httpx.Response]], ...] = (
        lambda role: gateway.client.get(f"{_ROLES}/{role}", headers=owner),
        lambda role: _patch(gateway, role, owner, permissions=[]),
        lambda role: _delete(gateway, role, owner),
    )
    for send in ways:
        answers = [await send(role) for role in (foreign, unknown)]
        assert [each.status_code for each in answers] == [404, 404]
        first, second = (each.content.replace(each.headers["x-request-id"].encode(), b"") for each in answers)
        assert first == second
    for name in ("support", "nothing"):
        assert (await _make(gateway, "x", inherits=[name])).status_code == 422
        key = await gateway.client.post(_KEYS, json={"name": "test", "role": name}, headers=owner)
        assert key.json()["errors"][0]["code"] == "unknown_role"


@pytest.mark.parametrize("name", ["owner", "Viewer", "a,b", 'a"b', "*"])
async def test_a_misleading_name_is_refused(gateway: Gateway, name: str) -> None:
    """AZ5, AZ9."""
    answer = await _make(gateway, name)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/name")


async def test_nobody_makes_or_changes_a_role_beyond_their_own_permissions(gateway: Gateway) -> None:
    """AZ5: directly, by inheritance, by a role that others inherit, for oneself, and by an admin for owners."""
    await _made(gateway, "manager", "roles:read", "roles:create", "roles:update", "roles:delete", _READ)
    manager, owner = await _key(gateway, "manager"), gateway.acme.key("owner")
    assert (await _make(gateway, "reader", _READ, by=manager)).status_code == 201
    wide = await _made(gateway, "wide", _DELETE, inherits=["reader"])
    roles = {each["name"]: each["id"] for each in (await gateway.client.get(_ROLES, headers=owner)).json()["data"]}
    for refused in (
        await _make(gateway, "x", _DELETE, by=manager),
        await _make(gateway, "x", inherits=["wide"], by=manager),
        await _make(gateway, "x", inherits=["member"], by=manager),
        await _patch(gateway, wide, manager, permissions=[]),
        await _delete(gateway, wide, manager),
        await _patch(gateway, roles["manager"], manager, permissions=[_READ, _DELETE]),
        await _patch(gateway, roles["reader"], manager, permissions=[]),  # "wide" would lose a permission
        await _make(gateway, "x", "owners:manage", by=gateway.acme.key("admin")),
        await _make(gateway, "x", inherits=["owner"], by=gateway.acme.key("admin")),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), refused.text
    assert (await _patch(gateway, roles["reader"], owner, permissions=[])).status_code == 200


async def test_a_change_is_in_force_on_every_worker(gateways: GatewayFactory) -> None:
    """ID4, TH7: of the role itself and of one that it inherits from; cached principals are dropped."""
    async with gateways() as gateway, gateways() as other:
        base = await _made(gateway, "base", _READ, _DELETE)
        await _made(gateway, "support", inherits=["base"])
        key = await _key(gateway, "support")
        await other.catch_up()
        assert await _may(gateway, key) == await _may(other, key) == [_DELETE, _READ]
        owner = gateway.acme.key("owner")
        assert (await _patch(gateway, base, owner, permissions=[_READ])).status_code == 200
        for each in (gateway, other):
            await each.catch_up()
            assert await _may(each, key) == [_READ]


async def test_a_warm_request_reads_no_roles(gateway: Gateway) -> None:
    """The policy is loaded with the credential, and cached with it."""
    await _made(gateway, "support", _READ)
    key = await _key(gateway, "support")
    assert await _may(gateway, key) == [_READ]
    with psycopg.connect(gateway.urls.owner, autocommit=True) as connection:
        connection.execute("ALTER TABLE tenantry.roles RENAME TO hidden")
    assert await _may(gateway, key) == [_READ]


async def test_a_used_role_is_not_deleted(gateway: Gateway) -> None:
    """By a member, a key or another role; a revoked key uses none."""
    owner, role = gateway.acme.key("owner"), await _made(gateway, "support", _READ)
    made = await gateway.client.post(_KEYS, json={"name": "test", "role": "support"}, headers=owner)
    assert (await _delete(gateway, role, owner)).status_code == 409
    await gateway.client.post(f"{_KEYS}/{made.json()['id']}/revoke", headers=owner)
    heir = await _made(gateway, "heir", inherits=["support"])
    assert (await _delete(gateway, role, owner)).status_code == 409
    assert (await _delete(gateway, heir, owner)).status_code == 204
    members = (await gateway.client.get("/v1/members", headers=owner)).json()["data"]
    viewer = next(each["id"] for each in members if each["email"] == "viewer@acme.example")
    for roles, status in ((["support"], 409), (["viewer"], 204)):
        answer = await gateway.client.patch(f"/v1/members/{viewer}", json={"roles": roles}, headers=owner)
        assert answer.status_code == 200, answer.text
        assert (await _delete(gateway, role, owner)).status_code == status


async def test_concurrent_changes_make_no_cycle_and_no_dangling_key(gateway: Gateway) -> None:
    """AZ5: two roles made to inherit from each other at once; a role deleted while keys of it are made."""
    owner = gateway.acme.key("owner")
    first, second = await _made(gateway, "first"), await _made(gateway, "second")
    answers = await asyncio.gather(
        _patch(gateway, first, owner, inherits=["second"]), _patch(gateway, second, owner, inherits=["first"])
    )
    assert sorted(each.status_code for each in answers) == [200, 422]
    for _ in range(5):
        role = await _made(gateway, "brief", _READ)
        wanted = {"name": "test", "role": "brief"}
        key, deleted = await asyncio.gather(
            gateway.client.post(_KEYS, json=wanted, headers=owner), _delete(gateway, role, owner)
        )
        assert (key.status_code, deleted.status_code) in {(201, 409), (422, 204)}
        if key.status_code == 201:
            await gateway.client.post(f"{_KEYS}/{key.json()['id']}/revoke", headers=owner)
            assert (await _delete(gateway, role, owner)).status_code == 204


async def test_the_number_of_roles_is_bounded(gateway: Gateway) -> None:
    """At the bound and one beyond it, at once; names that differ in case are one."""
    with psycopg.connect(gateway.urls.owner, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO tenantry.roles (id, tenant_id, name, permissions)"
            " SELECT gen_random_uuid(), id, 'r' || n, '{}' FROM tenantry.tenants, generate_series(3, %s) n"
            " WHERE slug = 'acme'",
            (MOST_ROLES,),
        )
    assert (await _make(gateway, "R3")).json()["errors"][0]["code"] == "not_unique"
    answers = await asyncio.gather(*(_make(gateway, f"x{number}") for number in range(4)))
    assert sorted(each.status_code for each in answers) == [201, 201, 409, 409]
    assert (await _make(gateway, "x", by=gateway.globex.key("owner"))).status_code == 201
