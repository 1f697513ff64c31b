"""``POST /v1/roles/dry-run`` says who loses and gains what, the real change does just that, and nothing is written."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import pytest
from hypothesis import settings

from tenants.identifiers import API_KEY, USER, WORKLOAD_RULE, new_id, read, show
from tests.fixtures.events import events_of
from tests.fixtures.gateways import Gateway
from tests.fixtures.loops import measured_loop
from tests.fixtures.people import execute, sign_in
from tests.fixtures.role_world import DRY_RUN, UNKNOWN_CONTACT, Pair, RoleWorld, role_world

pytestmark = pytest.mark.anyio

_CASES_OF_A_STEP = 20  # principals and permissions: steps are examples / this


def _uses(listed: Iterable[Mapping[str, Any]]) -> dict[Pair, tuple[int, int]]:
    found = {(each["principal"]["id"], each["permission"]): (each["requests"], each["denied"]) for each in listed}
    assert [each["requests"] for each in listed] == sorted((each["requests"] for each in listed), reverse=True)
    return found


async def _permissions(world: RoleWorld) -> dict[str, set[str]]:
    found = {}
    for principal, headers in world.principals.items():
        me = await world.send("GET", "/v1/me", **headers)
        found[principal] = set(me.json()["permissions"])
    return found


async def test_a_dry_run_says_exactly_what_the_real_change_then_does(gateway: Gateway) -> None:
    """AZ10: who loses and gains what of all that was asked for, in some hundred pairs of principal and permission.

    Roles with inheritance, members, keys, and keys that are bound by a person whose roles change (ID16).
    """
    world = await role_world(gateway, 1)
    now, before, changed = await world.allowed(), await _permissions(world), 0
    for step in range(max(settings().max_examples // _CASES_OF_A_STEP, 2) * 2):
        staged = world.draw()
        await gateway.services.features.decisions.flush()
        answer = await world.send("POST", DRY_RUN, {"limit": 500, **staged})
        if answer.status_code == 409:
            (removed,) = staged["remove"]
            refused = await world.send("DELETE", f"/v1/roles/{world.roles[removed]}")
            assert refused.status_code == 409, f"step {step}"
            continue
        assert answer.status_code == 200, (step, staged, answer.text)
        told = answer.json()
        await world.change(staged)
        recorded = {pair: (world.asked[pair], world.denied[pair]) for pair in now}
        then, after = await world.allowed(), await _permissions(world)
        lost, gained = ({pair for pair in now if now[pair] is was and then[pair] is not was} for was in (True, False))
        assert _uses(told["loses"]) == {pair: recorded[pair] for pair in lost}, f"step {step}"
        assert _uses(told["gains"]) == {pair: recorded[pair] for pair in gained}, f"step {step}"
        assert told["totals"]["loses"] == len(lost)
        assert told["totals"]["gains"] == len(gained)
        changes = {each: (before[each] - after[each], after[each] - before[each]) for each in before}
        groups = [(set(each["loses"]), set(each["gains"])) for each in told["rights"]]
        assert all(change in groups for change in changes.values() if any(change)), f"step {step}"
        for each, group in zip(told["rights"], groups, strict=True):
            assert all(changes.get(one["id"], group) == group for one in each["examples"]), f"step {step}"
        now, before, changed = then, after, changed + len(lost) + len(gained)
    assert changed > 10, "hardly anything changed: it is no test"


async def test_what_a_person_loses_their_keys_lose_too(gateway: Gateway) -> None:
    """ID16: a key made by a person, and one made by that key; with what was never used in ``rights`` alone."""
    world = await role_world(gateway, 2)
    admin = next(person for person, role in world.people.items() if role == "admin")
    bound = list(world.keys)[1:]
    for key in (admin, *bound):
        for _ in range(3):
            await world.send("PATCH", UNKNOWN_CONTACT, {}, **world.principals[key])
    told = await world.tried(members=[{"id": admin, "roles": ["viewer"]}])
    assert _uses(told["loses"]) == {(each, "contacts:update"): (3, 0) for each in (admin, *bound)}
    assert told["gains"] == []
    kinds = {each["principal"]["id"]: each["principal"]["kind"] for each in told["loses"]}
    assert kinds == {admin: "user"} | dict.fromkeys(bound, "api_key")
    unused = [each for each in told["rights"] if "roles:delete" in each["loses"]]
    assert sorted(one["id"] for each in unused for one in each["examples"]) == sorted([admin, bound[1]])
    assert sum(each["principals"] for each in told["rights"]) == 4
    assert told["principals"] == 9 + len(world.keys)  # with those of the template


async def test_keys_that_pass_to_another_member_lose_nothing(gateway: Gateway) -> None:
    """ID16: as the tenant chose; a disabled member gets none. The real change does the same."""
    world, owner = await role_world(gateway, 7), await sign_in(gateway, "owner")
    admin = next(person for person, role in world.people.items() if role == "admin")
    choice = {"member_keys": "hand_over", "member_keys_to": (await owner.get("/v1/me")).json()["principal"]["id"]}
    assert (await world.send("PATCH", "/v1/tenant", choice)).status_code == 200
    before, staged = await _permissions(world), [{"id": admin, "roles": ["viewer"]}]
    told = await world.tried(members=staged)
    assert [[one["id"] for one in each["examples"]] for each in told["rights"]] == [[admin]]
    execute(
        gateway,
        "UPDATE tenantry.memberships SET disabled_at = now() WHERE user_id = %s",
        read(USER, choice["member_keys_to"]),
    )
    assert len((await world.tried(members=staged))["rights"]) > 1
    execute(
        gateway,
        "UPDATE tenantry.memberships SET disabled_at = null WHERE user_id = %s",
        read(USER, choice["member_keys_to"]),
    )
    await world.change({"roles": [], "members": staged, "keys": [], "remove": []})
    after = await _permissions(world)
    assert {each for each in before if before[each] != after[each]} == {admin}


async def test_decisions_of_older_days_and_of_those_who_left_are_not_judged(gateway: Gateway) -> None:
    """AZ10: the period begins at midnight, seven days ago; what belongs to no principal any more is left out."""
    world = await role_world(gateway, 3)
    gone, *kept = list(world.keys)[:3]
    for key in (gone, *kept):
        await world.send("DELETE", UNKNOWN_CONTACT, **world.principals[key])
    await gateway.services.features.decisions.flush()
    moved = "UPDATE tenantry.decision_counts SET day = day - %s WHERE principal_id = %s AND permission = %s"
    for key, days in zip(kept, (7, 8), strict=True):
        execute(gateway, moved, days, read(API_KEY, key), "contacts:delete")
    assert (await world.send("POST", f"/v1/api-keys/{gone}/revoke")).status_code == 204
    # Of the first, what is seven days old is judged; the second has lost it by its own scopes already.
    told = await world.tried(keys=[{"id": kept[0], "role": "member", "scopes": None}])
    assert _uses(told["gains"]) == {(kept[0], "contacts:delete"): (1, 1)}
    execute(gateway, moved, 1, read(API_KEY, kept[0]), "contacts:delete")
    told = await world.tried(keys=[{"id": kept[0], "role": "member", "scopes": None}])
    assert (told["gains"], told["totals"]["gains"]) == ([], 0)


_TABLES = ("roles", "memberships", "api_keys", "sign_ins", "tenants", "decision_counts", "procrastinate_jobs")


def _rows(gateway: Gateway) -> list[Any]:
    rows = (execute(gateway, f"SELECT t.xmin::text, t FROM tenantry.{each} t ORDER BY 2") for each in _TABLES)  # noqa: S608
    return [*rows, events_of(gateway.urls, gateway.acme.ref)]


async def test_a_dry_run_changes_nothing(gateway: Gateway) -> None:
    """AZ10: no row, no decision that the gate remembers, and no enforcer that it keeps; the same answer again."""
    world = await role_world(gateway, 4)
    await world.change(world.draw() | {"remove": []})
    await world.allowed()
    admin = next(person for person, role in world.people.items() if role == "admin")
    staged = {"roles": [{"name": "a", "permissions": ["contacts:delete"]}], "members": [{"id": admin, "roles": ["a"]}]}
    await gateway.services.features.decisions.flush()
    authorizer = gateway.services.authorizer
    rows, kept = _rows(gateway), (dict(authorizer._decisions), dict(authorizer._enforcers._own))
    first, second = [await world.tried(**staged) for _ in range(2)]
    execute(gateway, "DELETE FROM tenantry.decision_counts WHERE permission = 'decisions:explain'")
    assert [each for each in _rows(gateway) if each] == [each for each in rows if each]
    assert (authorizer._decisions.items() - kept[0].items()) <= {
        (("built-in:0", ("owner",), "decisions:explain"), True)
    }
    assert dict(authorizer._enforcers._own) == kept[1]
    assert {key: value for key, value in first.items() if key not in {"until", "totals"}} == {
        key: value for key, value in second.items() if key not in {"until", "totals"}
    }


_BAD: list[tuple[dict[str, Any], int, str, str]] = [
    ({"unknown": 1}, 422, "/unknown", "unknown_field"),
    ({"roles": [{"name": "a", "permissions": ["contacts:fly"]}]}, 422, "/roles/0/permissions/0", "unknown_permission"),
    ({"roles": [{"name": "a", "permissions": [], "inherits": ["nobody"]}]}, 422, "/roles/0/inherits/0", "unknown_role"),
    ({"roles": [{"name": "a", "permissions": [], "inherits": ["a"]}]}, 422, "/roles", "cycle"),
    ({"roles": [{"name": "Owner", "permissions": []}]}, 422, "/roles/0/name", "built_in_role"),
    ({"roles": [{"name": "a b", "permissions": []}]}, 422, "/roles/0/name", ""),
    ({"roles": [{"name": "a", "permissions": []}, {"name": "A", "permissions": []}]}, 422, "", "duplicate"),
    ({"roles": [{"name": "TEAM", "permissions": []}]}, 409, "/name", "not_unique"),
    ({"remove": ["nobody"]}, 422, "/remove/0", "unknown_role"),
    ({"remove": ["viewer"]}, 422, "/remove/0", "built_in_role"),
    ({"remove": ["team"]}, 409, "", ""),
    ({"members": [{"id": show(USER, new_id()), "roles": ["viewer"]}]}, 422, "/members/0/id", "unknown_member"),
    ({"members": [{"id": "x", "roles": ["viewer"]}]}, 422, "/members/0/id", "bad_format"),
    ({"members": [{"id": "OWNER", "roles": ["viewer"]}]}, 409, "", ""),
    ({"members": [{"id": "OWNER", "roles": ["owner", "nobody"]}]}, 422, "/members/0/roles/1", "unknown_role"),
    ({"members": [{"id": "OWNER", "roles": []}]}, 422, "/members/0/roles", ""),
    ({"keys": [{"id": show(API_KEY, new_id())}]}, 422, "/keys/0/id", "unknown_key"),
    ({"keys": [{"id": "KEY", "role": "nobody"}]}, 422, "/keys/0/role", "unknown_role"),
    ({"keys": [{"id": "KEY", "role": "viewer", "scopes": ["deals:update"]}]}, 422, "/keys/0/scopes/0", "unknown_scope"),
    ({"keys": [{"id": "KEY"}, {"id": "KEY"}]}, 422, "", "duplicate"),
    ({"limit": 0}, 422, "/limit", ""),
    ({"limit": 501}, 422, "/limit", ""),
    ({"remove": ["a"] * 101}, 422, "/remove", ""),
]


async def test_what_a_real_change_refuses_is_refused(gateway: Gateway) -> None:
    """AZ5, AZ7: names, references, cycles, bounds, the last owner, roles in use; ids of another tenant are unknown."""
    world = await role_world(gateway, 5)
    owner = await world.sign_in("owner")
    await world.post("/v1/roles", {"name": "team", "permissions": ["contacts:read"]})
    key = await world.add_key("team", world.owner)
    for body, status, pointer, code in _BAD:
        filled = orjson.loads(orjson.dumps(body).replace(b"OWNER", owner.encode()).replace(b"KEY", key.encode()))
        answer = await world.send("POST", DRY_RUN, filled)
        assert answer.status_code == status, (body, answer.text)
        errors = answer.json().get("errors", [])
        if pointer or code:
            assert (errors[0]["pointer"], errors[0]["code"] if code else "") == (pointer, code), (body, answer.text)
    foreign = execute(gateway, "SELECT id FROM tenantry.api_keys WHERE tenant_id = %s", gateway.globex.ref.id)[0][0]
    answers = [
        await world.send("POST", DRY_RUN, {"keys": [{"id": show(API_KEY, each)}]}) for each in (foreign, new_id())
    ]
    first, second = ({**each.json(), "request_id": ""} for each in answers)
    assert (answers[0].status_code, first) == (422, second)


async def test_a_mapped_role_is_in_use_and_the_permission_is_needed(gateway: Gateway) -> None:
    """AZ5: a role that a directory gives to new people; AZ1: a dry run needs ``decisions:explain``."""
    world = await role_world(gateway, 6)
    await world.post("/v1/roles", {"name": "team", "permissions": ["decisions:explain"]})
    execute(gateway, "UPDATE tenantry.tenants SET scim_default_role = 'team' WHERE id = %s", gateway.acme.ref.id)
    assert (await world.send("POST", DRY_RUN, {"remove": ["team"]})).status_code == 409
    assert (await world.send("POST", DRY_RUN, {}, **gateway.acme.key("member"))).status_code == 403
    explainer = await world.add_key("team", world.owner)
    told = await world.post(DRY_RUN, {}, **world.principals[explainer])
    assert (told["loses"], told["gains"], told["rights"], told["has_more"]) == ([], [], [], False)


_RULE = """
    INSERT INTO tenantry.workload_rules (id, tenant_id, name, issuer, audience, claims, role, token_seconds, enabled)
    VALUES (%s, %s, 'builds', 'https://issuer.example', 'x', '{}', 'team', 300, %s)
"""
_COUNT = """
    INSERT INTO tenantry.decision_counts
    VALUES (%s, %s, %s, CAST(now() AT TIME ZONE 'UTC' AS date), ARRAY[7], ARRAY[0], now())
"""


async def test_workloads_lose_what_the_role_of_their_rule_loses(gateway: Gateway) -> None:
    """AZ10: by a rule that works, and within what workloads may do at all; the role of a rule is in use."""
    world, tenant = await role_world(gateway, 9), gateway.acme.ref.id
    await world.post(
        "/v1/roles", {"name": "team", "permissions": ["contacts:read", "contacts:update", "api_keys:create"]}
    )
    works, disabled = new_id(), new_id()
    for rule in (works, disabled):
        execute(gateway, _RULE, rule, tenant, rule == works)
        for permission in ("contacts:update", "api_keys:create"):
            execute(gateway, _COUNT, tenant, rule, permission)
    told = await world.tried(roles=[{"name": "team", "permissions": ["contacts:read"]}])
    assert _uses(told["loses"]) == {(show(WORKLOAD_RULE, works), "contacts:update"): (7, 0)}
    assert [each["principal"]["kind"] for each in told["loses"]] == ["workload"]
    assert [(each["loses"], each["principals"]) for each in told["rights"]] == [(["contacts:update"], 1)]
    assert (await world.send("POST", DRY_RUN, {"remove": ["team"]})).status_code == 409


_CROWD = """
    WITH people AS (
        INSERT INTO tenantry.users (id, email, name)
        SELECT gen_random_uuid(), n || '@crowd.example', '' FROM generate_series(1, 2000) AS n RETURNING id
    ), members AS (
        INSERT INTO tenantry.memberships (tenant_id, user_id, roles) SELECT %s, id, ARRAY['team'] FROM people
        RETURNING tenant_id, user_id
    )
    INSERT INTO tenantry.decision_counts
    SELECT tenant_id, user_id, permission, CAST(now() AT TIME ZONE 'UTC' AS date), ARRAY[1], ARRAY[0], now()
    FROM members, unnest(ARRAY['contacts:read', 'contacts:update', 'contacts:delete', 'usage:read']) AS permission
"""


async def test_a_large_tenant_does_not_hold_the_event_loop(gateway: Gateway) -> None:
    """LD1: 2,000 people, of whom each loses and gains something; the answer is bounded and says what it leaves out."""
    world = await role_world(gateway, 8)
    await world.post("/v1/roles", {"name": "team", "permissions": ["contacts:read", "contacts:update"]})
    execute(gateway, _CROWD, gateway.acme.ref.id)
    staged = {"roles": [{"name": "team", "permissions": ["contacts:read", "contacts:delete"]}]}
    await world.post(DRY_RUN, {})
    async with measured_loop() as hold:
        told = await world.post(DRY_RUN, {"limit": 50, **staged})
    assert (told["totals"]["loses"], told["totals"]["gains"]) == (2_000, 2_000)
    assert (len(told["loses"]), len(told["gains"]), told["has_more"]) == (50, 50, True)
    assert [(each["loses"], each["gains"], each["principals"]) for each in told["rights"]] == [
        (["contacts:update"], ["contacts:delete"], 2_000)
    ]
    assert hold.longest < 0.05
