"""A key never holds more than its owner holds now, and what it made can be ended with it (ID16)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tenants.api_keys.descendants import service
from tenants.api_keys.descendants.service import MOST_AT_ONCE
from tenants.api_keys.lineage import MOST_OWNERS
from tests.fixtures.audit import chain
from tests.fixtures.gateways import Gateway, GatewayFactory
from tests.fixtures.lineage import (
    KEYS,
    MEMBERS,
    Headers,
    MadeKey,
    change_member,
    create,
    made_key,
    make,
    members,
    permissions,
    rotate,
)
from tests.fixtures.people import execute, sign_in

pytestmark = pytest.mark.anyio

_VIEWER = {"contacts:read", "deals:read"}
_REVOKED, _EXPIRED = "credential_revoked", "credential_expired"


async def test_a_key_follows_its_person_on_every_worker(gateways: GatewayFactory) -> None:
    """ID16, ID4, ID15: demoted, promoted, disabled, enabled, removed, added again; so does what the key made."""
    async with gateways() as gateway, gateways() as other:
        person, user = await sign_in(gateway, "admin"), (await members(gateway))["admin"]
        key = await make(gateway, person.headers, role="admin")
        child = await make(gateway, key.headers)
        assert (key.shown["created_by"], key.shown["owner"]) == (user, user)
        assert (child.shown["created_by"], child.shown["owner"]) == (key.id, key.id)
        whole = [await permissions(other, each) for each in (key, child)]

        async def seen() -> list[list[set[str] | str]]:
            return [[await permissions(each, made) for made in (key, child)] for each in (gateway, other)]

        await change_member(gateway, user, roles=["viewer"])
        assert await seen() == [[_VIEWER, _VIEWER]] * 2
        await change_member(gateway, user, roles=["admin"])
        assert await seen() == [whole] * 2
        await change_member(gateway, user, disabled=True)
        assert await seen() == [[_REVOKED, _REVOKED]] * 2
        await change_member(gateway, user, disabled=False)
        assert await seen() == [whole] * 2
        execute(gateway, "UPDATE tenantry.users SET disabled_at = now() WHERE email = 'admin@acme.example'")
        assert await seen() == [[_REVOKED, _REVOKED]] * 2
        execute(gateway, "UPDATE tenantry.users SET disabled_at = NULL WHERE email = 'admin@acme.example'")
        removed = await gateway.client.delete(f"{MEMBERS}/{user}", headers=gateway.acme.key("owner"))
        assert removed.status_code == 204
        execute(
            gateway,
            "INSERT INTO tenantry.memberships (tenant_id, user_id, roles) SELECT tenants.id, users.id, '{admin}'"
            " FROM tenantry.tenants, tenantry.users WHERE slug = 'acme' AND email = 'admin@acme.example'",
        )
        assert await seen() == [[_REVOKED, _REVOKED]] * 2


async def test_a_key_follows_the_key_that_owns_it(gateway: Gateway) -> None:
    """ID16: narrowed, in its networks too, disabled and rotated; a role of the tenant's own that is narrowed."""
    owner = gateway.acme.key("owner")
    role = {"name": "clerk", "permissions": ["contacts:read", "contacts:update", "api_keys:create"]}
    made = (await gateway.client.post("/v1/roles", json=role, headers=owner)).json()
    key = await make(gateway, owner, role="clerk")
    child = await make(gateway, key.headers, role="clerk")
    assert await permissions(gateway, child) == set(role["permissions"])
    path = f"{KEYS}/{key.id}"
    await gateway.client.patch(path, json={"scopes": ["contacts:read", "api_keys:create"]}, headers=owner)
    assert await permissions(gateway, child) == {"contacts:read", "api_keys:create"}
    await gateway.client.patch(f"/v1/roles/{made['id']}", json={"permissions": ["contacts:read"]}, headers=owner)
    assert await permissions(gateway, child) == {"contacts:read"}
    await gateway.client.patch(path, json={"allowed_cidrs": ["192.0.2.0/24"]}, headers=owner)
    assert await permissions(gateway, child) == "ip_not_allowed"
    await gateway.client.patch(path, json={"allowed_cidrs": []}, headers=owner)
    await gateway.client.post(f"{path}/disable", headers=owner)
    assert await permissions(gateway, child) == _REVOKED
    await gateway.client.post(f"{path}/enable", headers=owner)
    successor = await rotate(gateway, owner, key)
    shown = (await gateway.client.get(f"{KEYS}/{child.id}", headers=owner)).json()
    assert (shown["owner"], shown["created_by"]) == (successor.id, key.id)
    assert await permissions(gateway, child) == {"contacts:read"}
    execute(gateway, "UPDATE tenantry.api_keys SET expires_at = now() WHERE last4 = %s", successor.shown["last4"])
    assert await permissions(gateway, child) == _EXPIRED


async def test_revoking_takes_all_along_or_leaves_it_bound(gateway: Gateway) -> None:
    """ID16, AZ4, AU1: what a key made is listed; it ends with descendants=true alone, and is not freed otherwise."""
    owner = gateway.acme.key("owner")
    root = await make(gateway, owner, role="admin", scopes=["contacts:read", "api_keys:create", "api_keys:rotate"])
    child = await make(gateway, root.headers, role="viewer", scopes=["contacts:read"])
    rotator = await make(gateway, root.headers, role="admin", scopes=["contacts:read", "api_keys:rotate"])
    other = await make(gateway, owner, role="viewer", scopes=["contacts:read"])
    taken = await rotate(gateway, rotator.headers, other)  # its secret is with the rotator
    made = {child.id, rotator.id, taken.id}
    path = f"{KEYS}/{root.id}/descendants"
    page = (await gateway.client.get(path, params={"limit": 2}, headers=owner)).json()
    rest = (await gateway.client.get(path, params={"cursor": page["next_cursor"]}, headers=owner)).json()
    assert {each["id"] for each in (*page["data"], *rest["data"])} == made
    foreign = await gateway.client.get(path, headers=gateway.globex.key("owner"))
    unknown = await gateway.client.get(f"{KEYS}/{root.id[:-3]}000/descendants", headers=gateway.globex.key("owner"))
    assert (foreign.status_code, foreign.json()["detail"]) == (404, unknown.json()["detail"])
    revoke = f"{KEYS}/{root.id}/revoke"
    for wrong in ("descendants=maybe", "descendant=true", "descendants=true&descendants=true"):
        assert (await gateway.client.post(f"{revoke}?{wrong}", headers=owner)).status_code == 422
    assert (await gateway.client.post(revoke, headers=owner)).status_code == 204
    assert [await permissions(gateway, each) for each in (root, child)] == [_REVOKED, {"contacts:read"}]
    assert (await gateway.client.post(f"{revoke}?descendants=true", headers=owner)).status_code == 204
    assert [await permissions(gateway, each) for each in (child, rotator, taken)] == [_REVOKED] * 3
    events = await _audited(gateway, "api_keys.revoked")
    assert sorted(events) == sorted({root.id, *made})


async def _audited(gateway: Gateway, action: str) -> list[str]:
    """The keys that were changed so, by the audit log."""
    await chain(gateway)
    parameters = {"action": action, "limit": "100"}
    page = await gateway.client.get("/v1/audit-events", params=parameters, headers=gateway.acme.key("owner"))
    return [each["object"] for each in page.json()["data"]]


async def test_keys_of_the_tenant_itself_outlast_people(gateway: Gateway) -> None:
    """ID16, AZ5: they need the permission of an owner, never exceed who makes them, and no owned key makes one."""
    admin, owner = await sign_in(gateway, "admin"), await sign_in(gateway, "owner")
    assert (await create(gateway, admin.headers, owner="tenant")).status_code == 403
    service = await make(gateway, owner.headers, role="owner", owner="tenant")
    assert (service.shown["owner"], service.shown["created_by"]) == ("tenant", (await members(gateway))["owner"])
    assert (await make(gateway, service.headers, owner="tenant")).shown["owner"] == "tenant"
    owned = await make(gateway, owner.headers, role="owner")
    assert (await create(gateway, owned.headers, owner="tenant")).status_code == 403
    narrow = await make(gateway, service.headers, role="owner", scopes=["service_keys:create", "api_keys:create"])
    wider = await create(gateway, narrow.headers, role="admin")
    assert (wider.status_code, wider.json()["code"]) == (403, "forbidden")
    assert (await create(gateway, owner.headers, owner="me")).status_code == 422
    before = await permissions(gateway, service)
    ids = await members(gateway)
    await change_member(gateway, ids["admin"], roles=["owner"])
    await change_member(gateway, ids["owner"], roles=["viewer"])
    assert [await permissions(gateway, each) for each in (service, owned)] == [before, _VIEWER]


async def test_a_line_of_owners_is_bounded(gateway: Gateway) -> None:
    """ID16: eight keys can own a key, one from another; the ninth is refused, and a successor makes no line longer."""
    key = await make(gateway, gateway.acme.key("admin"), role="admin")  # owned by the key of the fixture
    for _ in range(MOST_OWNERS - 1):
        key = await make(gateway, key.headers, role="admin")
    key = await rotate(gateway, key.headers, key)
    refused = await create(gateway, key.headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


async def test_keys_are_handed_over_within_what_both_hold(gateway: Gateway) -> None:
    """ID16, AZ5: by who holds what the keys hold, to who does; 404 for people of others, 422 for nobody who could."""
    ids, admin = await members(gateway), await sign_in(gateway, "admin")
    key, plain = await make(gateway, admin.headers, role="admin"), await make(gateway, admin.headers, role="viewer")
    path, owner = f"{MEMBERS}/{ids['admin']}/api-keys", gateway.acme.key("owner")

    async def hand_over(to: str, by: Any = owner) -> int:
        return (await gateway.client.post(f"{path}/hand-over", json={"to": to}, headers=by)).status_code

    assert await hand_over(ids["viewer"]) == 409
    assert [await hand_over(each) for each in (ids["admin"], "usr_7zzzzzzzzzzzzzzzzzzzzzzzzz", "ada")] == [422] * 3
    narrow = await make(gateway, owner, role="admin", scopes=["members:update"])
    assert await hand_over(ids["owner"], narrow.headers) == 403
    assert await hand_over(ids["owner"], gateway.globex.key("owner")) == 404
    assert await hand_over(ids["owner"]) == 200
    await change_member(gateway, ids["admin"], roles=["viewer"])
    assert "members:update" in await permissions(gateway, key)
    await change_member(gateway, ids["admin"], roles=["owner"])
    revoked = await gateway.client.post(f"{MEMBERS}/{ids['owner']}/api-keys/revoke", headers=owner)
    assert (revoked.status_code, revoked.json()) == (200, {"keys": 2})
    assert [await permissions(gateway, each) for each in (key, plain)] == [_REVOKED] * 2


async def test_a_tenant_can_have_keys_handed_over(gateway: Gateway) -> None:
    """ID16: to a member, before somebody is demoted, disabled or removed; a key is no wider for it than it was."""
    ids, owner = await members(gateway), gateway.acme.key("owner")

    async def choose(**chosen: str | None) -> int:
        return (await gateway.client.patch("/v1/tenant", json=chosen, headers=owner)).status_code

    assert await choose(member_keys="hand_over") == 422
    assert await choose(member_keys_to="usr_7zzzzzzzzzzzzzzzzzzzzzzzzz") == 422
    assert await choose(member_keys="gone") == 422
    person = await sign_in(gateway, "admin")
    key = await make(gateway, person.headers, role="admin")
    await change_member(gateway, ids["admin"], roles=["member"])
    narrowed = await permissions(gateway, key)
    assert await choose(member_keys="hand_over", member_keys_to=ids["owner"]) == 200
    await change_member(gateway, ids["admin"], disabled=True)
    assert await permissions(gateway, key) == narrowed
    shown = (await gateway.client.get(f"{KEYS}/{key.id}", headers=owner)).json()
    assert (shown["owner"], shown["created_by"]) == (ids["owner"], ids["admin"])
    other = await make(gateway, (await sign_in(gateway, "owner")).headers, role="viewer")
    execute(gateway, "UPDATE tenantry.api_keys SET owner_user_id = %s WHERE last4 = %s", *await _owned(gateway, other))
    await gateway.client.delete(f"{MEMBERS}/{ids['member']}", headers=owner)
    shown = (await gateway.client.get(f"{KEYS}/{other.id}", headers=owner)).json()
    assert (shown["owner"], shown["revoked_at"]) == (ids["owner"], None)


async def _owned(gateway: Gateway, key: MadeKey) -> tuple[Any, str]:
    """The member's id, for the row of this key: a member cannot create keys."""
    found = execute(gateway, "SELECT id FROM tenantry.users WHERE email = 'member@acme.example'")
    return found[0][0], key.shown["last4"]


@pytest.mark.parametrize("at_once", [MOST_AT_ONCE, 5])
async def test_no_key_escapes_while_its_maker_is_revoked(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """ID16, ID4: keys make keys as fast as they can while the first is revoked with all that it made; none is left.

    In one transaction, and in many.
    """
    monkeypatch.setattr(service, "MOST_AT_ONCE", at_once)
    root = await make(gateway, gateway.acme.key("admin"), role="admin")
    makers = [root, *[await make(gateway, root.headers, role="admin") for _ in range(7)]]
    made = await _made_while(
        gateway,
        [each.headers for each in makers],
        lambda: gateway.client.post(f"{KEYS}/{root.id}/revoke?descendants=true", headers=gateway.acme.key("owner")),
    )
    assert {await permissions(gateway, each) for each in made} == {_REVOKED}
    alive = "SELECT count(*) FROM tenantry.api_keys WHERE name = 'a key' AND revoked_at IS NULL"
    assert execute(gateway, alive) == [(0,)]


async def test_no_key_escapes_while_its_person_is_removed(gateway: Gateway) -> None:
    """ID16, ID15: a person makes keys as fast as they can while they are removed; none is left for their return."""
    person, user = await sign_in(gateway, "admin"), (await members(gateway))["admin"]
    await _made_while(
        gateway,
        [person.headers] * 4,
        lambda: gateway.client.delete(f"{MEMBERS}/{user}", headers=gateway.acme.key("owner")),
    )
    alive = "SELECT count(*) FROM tenantry.api_keys WHERE name = 'a key' AND revoked_at IS NULL"
    assert execute(gateway, alive) == [(0,)]


async def _made_while(
    gateway: Gateway, makers: list[Headers], ending: Callable[[], Awaitable[httpx.Response]]
) -> list[MadeKey]:
    """The keys that these made at once, until the change ended all of them."""
    made: list[MadeKey] = []
    enough = asyncio.Event()

    async def keep_making(by: Headers) -> None:
        while (answer := await create(gateway, by)).status_code == 201:
            made.append(made_key(answer))
            if len(made) > 3 * len(makers):
                enough.set()
        assert answer.json()["code"] == _REVOKED

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for each in makers:
            group.create_task(keep_making(each))
        await enough.wait()
        assert (await ending()).status_code == 204
    return made


async def test_a_cascade_ends_one_key_more_than_one_transaction_does(gateway: Gateway) -> None:
    """ID16: at its real bound, each transaction ends in time."""
    owner = gateway.acme.key("owner")
    root = await make(gateway, owner, role="admin")
    insert = (
        "INSERT INTO tenantry.api_keys (id, tenant_id, name, role, prefix, last4, digest, pepper_version, owned_by,"
        " owner_key_id, created_by_key_id) SELECT gen_random_uuid(), tenant_id, 'one of many', 'viewer', 'tn_live_0',"
        " '0000', sha256(number::text::bytea), 1, 'key', id, id FROM tenantry.api_keys,"
        " generate_series(%s::int, %s::int) AS number WHERE name = 'a key'"
    )
    execute(gateway, insert, 1, MOST_AT_ONCE)  # and the key itself is one more
    path = f"{KEYS}/{root.id}/revoke?descendants=true"
    alive = "SELECT count(*) FROM tenantry.api_keys WHERE name = 'one of many' AND revoked_at IS NULL"
    assert (await gateway.client.post(path, headers=owner)).status_code == 204
    assert execute(gateway, alive) == [(0,)]
