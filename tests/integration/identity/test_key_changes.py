"""``PATCH /v1/api-keys/{id}``, disabling and enabling: within what the caller holds (AZ5), in force at once (ID4)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from tests.fixtures.gateways import PASSWORD, Gateway, GatewayFactory

pytestmark = pytest.mark.anyio
_KEYS = "/v1/api-keys"
_FIVE = {"name": "own", "quota": 5, "window_seconds": 60}
_EIGHT = {"name": "own", "quota": 8, "window_seconds": 60}
_TWO = {"name": "own", "quota": 2, "window_seconds": 60}


def _holding(made: dict[str, Any]) -> dict[str, str]:
    return {"X-API-Key": made["secret"]}


def _in(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def _owner(gateway: Gateway) -> dict[str, str]:
    wanted = {"email": gateway.acme.emails["owner"], "password": PASSWORD, "tenant": "acme"}
    answer = await gateway.client.post("/v1/auth/login", json=wanted)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def _made(gateway: Gateway, headers: dict[str, str], **wanted: Any) -> dict[str, Any]:
    answer = await gateway.client.post(_KEYS, json={"name": "a key", "role": "admin", **wanted}, headers=headers)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def _changed(gateway: Gateway, key: dict[str, Any], headers: dict[str, str], **wanted: Any) -> httpx.Response:
    return await gateway.client.patch(f"{_KEYS}/{key['id']}", json=wanted, headers=headers)


async def _done(gateway: Gateway, key: dict[str, Any], action: str, headers: dict[str, str]) -> int:
    return (await gateway.client.post(f"{_KEYS}/{key['id']}/{action}", headers=headers)).status_code


async def _me(gateway: Gateway, key: dict[str, Any]) -> httpx.Response:
    return await gateway.client.get("/v1/me", headers=_holding(key))


async def _admitted(gateway: Gateway, key: dict[str, Any], count: int) -> int:
    answers = [await gateway.client.get("/v1/contacts", headers=_holding(key)) for _ in range(count)]
    assert {answer.status_code for answer in answers} <= {200, 429}
    return sum(answer.status_code == 200 for answer in answers)


async def test_every_field_can_be_changed_and_what_is_left_out_stays(gateway: Gateway) -> None:
    """200 with the key and its new ETag; the change is in force, and in the audit log."""
    admin = gateway.acme.key("admin")
    made = await _made(gateway, admin, description="before", metadata={"team": "a"}, expires_at=_in(3600))
    sent = {
        "name": "renamed",
        "description": "after",
        "metadata": {"cost-center": "4711", "team": "b"},
        "scopes": ["deals:read", "contacts:read", "deals:read"],
        "expires_at": None,
        "allowed_cidrs": ["127.0.0.0/8", "::ffff:10.0.0.0/104"],
        "limits": [_FIVE],
    }
    answer = await _changed(gateway, made, admin, **sent)
    assert answer.status_code == 200, answer.text
    wanted = sent | {"scopes": ["contacts:read", "deals:read"], "allowed_cidrs": ["127.0.0.0/8", "10.0.0.0/8"]}
    assert {name: answer.json()[name] for name in sent} == wanted
    read = await gateway.client.get(f"{_KEYS}/{made['id']}", headers=admin)
    assert (read.json(), read.headers["etag"]) == (answer.json(), answer.headers["etag"])
    assert (await _me(gateway, made)).json()["permissions"] == ["contacts:read", "deals:read"]
    assert (await _changed(gateway, made, admin, description="again")).json() == answer.json() | {
        "description": "again"
    }
    log = await gateway.client.get("/v1/audit-events", params={"action": "api_keys.updated"}, headers=admin)
    described = [(each["before"]["description"], each["after"]["description"]) for each in log.json()["data"]]
    assert described == [("after", "again"), ("before", "after")]


async def test_an_etag_makes_a_change_conditional(gateway: Gateway) -> None:
    """DA4: 412 when the key has changed since, and nothing is changed then. Without a field nothing changes."""
    admin = gateway.acme.key("admin")
    made = await _made(gateway, admin)
    path = f"{_KEYS}/{made['id']}"
    tag = (await gateway.client.get(path, headers=admin)).headers["etag"]
    unchanged = await gateway.client.patch(path, json={}, headers={**admin, "If-Match": tag})
    assert (unchanged.status_code, unchanged.headers["etag"]) == (200, tag)
    first = await gateway.client.patch(path, json={"name": "first"}, headers={**admin, "If-Match": tag})
    second = await gateway.client.patch(path, json={"name": "second"}, headers={**admin, "If-Match": tag})
    assert (first.status_code, second.status_code) == (200, 412)
    assert second.json()["code"] == "precondition_failed"
    assert (await gateway.client.get(path, headers=admin)).json()["name"] == "first"


_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "/name"),
    ({"name": None}, "/name"),
    ({"description": "x" * 501}, "/description"),
    ({"description": "a\u202eb"}, "/description"),
    ({"metadata": {str(number): "" for number in range(17)}}, "/metadata"),
    ({"metadata": {"x" * 41: ""}}, "/metadata/" + "x" * 41),
    ({"metadata": {"a b": ""}}, "/metadata"),
    ({"metadata": {"a": "x" * 201}}, "/metadata/a"),
    ({"metadata": {"a": "\x1b[2J"}}, "/metadata/a"),
    ({"metadata": {"a": {"b": "nested"}}}, "/metadata/a"),
    ({"metadata": {"a": 1}}, "/metadata/a"),
    ({"metadata": None}, "/metadata"),
    ({"metadata": [["a", "b"]]}, "/metadata"),
    ({"scopes": ["contacts:fly"]}, "/scopes/0"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
    ({"expires_at": "tomorrow"}, "/expires_at"),
    ({"allowed_cidrs": ["10.0.0.1/8"]}, "/allowed_cidrs/0"),
    ({"allowed_cidrs": ["::1", "fe80::1%eth0"]}, "/allowed_cidrs/1"),
    ({"allowed_cidrs": ["::ffff:10.0.0.1/104"]}, "/allowed_cidrs/0"),
    ({"allowed_cidrs": ["10.0.0.0/8/8"]}, "/allowed_cidrs/0"),
    ({"allowed_cidrs": ["010.0.0.1"]}, "/allowed_cidrs/0"),
    ({"limits": [_FIVE, _TWO]}, "/limits"),
    ({"limits": [{**_FIVE, "quota": 0}]}, "/limits/0/quota"),
    ({"role": "owner"}, "/role"),
    ({"disabled_at": None}, "/disabled_at"),
    ({"created_by": None}, "/created_by"),
]


async def test_values_that_a_key_cannot_have_are_pointed_at(gateway: Gateway) -> None:
    """AZ7: 422 for every caller; nothing is changed."""
    owner = gateway.acme.key("owner")
    made = await _made(gateway, owner)
    for sent, pointer in _REFUSED:
        answer = await _changed(gateway, made, owner, **sent)
        assert answer.status_code == 422, sent
        assert pointer in [error["pointer"] for error in answer.json()["errors"]], (sent, answer.text)
    del made["secret"]
    assert (await gateway.client.get(f"{_KEYS}/{made['id']}", headers=owner)).json() == made


async def test_nobody_gives_a_key_more_than_they_hold(gateway: Gateway) -> None:
    """AZ5: not in scopes, time, networks or limits; a key cannot widen itself either."""
    admin = gateway.acme.key("admin")
    maker = await _made(
        gateway,
        admin,
        scopes=["api_keys:create", "api_keys:update", "contacts:read"],
        expires_at=_in(3600),
        allowed_cidrs=["127.0.0.0/8"],
        limits=[_FIVE],
    )
    child = await _made(gateway, _holding(maker), role="admin", scopes=["contacts:read"])
    too_wide: list[dict[str, Any]] = [
        {"scopes": None},
        {"scopes": ["contacts:read", "contacts:delete"]},
        {"expires_at": None},
        {"expires_at": _in(7200)},
        {"allowed_cidrs": []},
        {"allowed_cidrs": ["127.0.0.1", "10.0.0.0/8"]},
        {"limits": [_EIGHT]},
        {"limits": []},
    ]
    for wider in too_wide:
        for key in (maker, child):
            answer = await _changed(gateway, key, _holding(maker), **wider)
            if key is child and "limits" in wider:  # none of its own: its maker's go on binding it
                assert answer.json()["limits"] == [_FIVE]
            else:
                assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (wider, key["name"])
    narrower = {"scopes": ["api_keys:update"], "limits": [_TWO], "name": "narrowed by itself"}
    assert (await _changed(gateway, maker, _holding(maker), **narrower)).status_code == 200
    assert (await _changed(gateway, maker, admin, scopes=None, expires_at=None, limits=[])).status_code == 200


async def test_a_key_that_holds_more_than_the_caller_can_only_be_narrowed(gateway: Gateway) -> None:
    """AZ5: an admin neither renames nor enables an owner's key, but can take rights from it, disable and revoke it."""
    owner, admin = await _owner(gateway), gateway.acme.key("admin")
    owners = await _made(gateway, owner, role="owner")
    described: list[dict[str, Any]] = [
        {"name": "mine"},
        {"metadata": {}},
        {"scopes": ["deals:read"], "description": ""},
    ]
    for refused in described:
        assert (await _changed(gateway, owners, admin, **refused)).status_code == 403
    narrow = {"scopes": ["contacts:read"], "expires_at": _in(60), "allowed_cidrs": ["127.0.0.1"], "limits": [_FIVE]}
    assert (await _changed(gateway, owners, admin, **narrow)).status_code == 200
    assert (await _me(gateway, owners)).json()["permissions"] == ["contacts:read"]
    widened: list[dict[str, Any]] = [{"scopes": ["contacts:read", "deals:read"]}, {"expires_at": None}, {"limits": []}]
    for wider in widened:
        assert (await _changed(gateway, owners, admin, **wider)).status_code == 403
    assert await _done(gateway, owners, "disable", admin) == 204
    assert await _done(gateway, owners, "enable", admin) == 403
    assert await _done(gateway, owners, "enable", owner) == 204
    assert await _done(gateway, owners, "revoke", admin) == 204


async def test_a_disabled_key_is_refused_until_it_is_enabled(gateways: GatewayFactory) -> None:
    """ID4: on every worker, also one that has its refusal cached; disabling and enabling are idempotent."""
    async with gateways() as first, gateways() as second:
        admin = first.acme.key("admin")
        made = await _made(first, admin)
        for _ in range(2):
            assert await _done(first, made, "disable", admin) == 204
            for worker in (first, second):
                refused = await _me(worker, made)
                assert (refused.status_code, refused.json()["code"]) == (401, "credential_revoked")
            shown = (await first.client.get(f"{_KEYS}/{made['id']}", headers=admin)).json()
            assert (shown["status"], shown["disabled_at"] is None) == ("disabled", False)
            assert (await first.client.post(f"{_KEYS}/{made['id']}/rotate", headers=admin)).status_code == 409
            for _ in range(2):
                assert await _done(second, made, "enable", admin) == 204
            await first.catch_up()
            await second.catch_up()
            assert [(await _me(worker, made)).status_code for worker in (first, second)] == [200, 200]
        shown = (await first.client.get(f"{_KEYS}/{made['id']}", headers=admin)).json()
        assert (shown["status"], shown["disabled_at"]) == ("active", None)
        log = await first.client.get("/v1/audit-events", params={"object": made["id"]}, headers=admin)
        actions = [each["action"] for each in log.json()["data"]]
        assert [actions.count(f"api_keys.{each}") for each in ("disabled", "enabled", "revoked_key_used")] == [2, 2, 0]


async def test_a_key_that_has_ended_is_not_changed(gateway: Gateway) -> None:
    """409: neither revoked, expired nor beyond its overlap does it come back."""
    admin = gateway.acme.key("admin")
    revoked, rotated = await _made(gateway, admin), await _made(gateway, admin)
    assert await _done(gateway, revoked, "revoke", admin) == 204
    assert await _done(gateway, rotated, "rotate", admin) == 201
    for key in (revoked, rotated):
        later = await _changed(gateway, key, admin, expires_at=_in(60))
        assert (later.status_code, later.json()["code"]) == (409, "conflict")
        assert [await _done(gateway, key, action, admin) for action in ("disable", "enable")] == [409, 409]


async def test_an_overlap_is_shortened_and_not_extended(gateway: Gateway) -> None:
    """A rotated key ends with its overlap, for every caller."""
    admin = gateway.acme.key("admin")
    old = await _made(gateway, admin)
    body = {"overlap_seconds": 3600}
    await gateway.client.post(f"{_KEYS}/{old['id']}/rotate", json=body, headers=admin)
    for later in (None, _in(7200)):
        answer = await _changed(gateway, old, admin, expires_at=later)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "rotated")
    shorter = await _changed(gateway, old, admin, expires_at=_in(60), name="ends soon")
    assert (shorter.status_code, shorter.json()["status"]) == (200, "rotating")


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_changing_keys_requires_the_permission(gateway: Gateway, role: str) -> None:
    """AZ1: 403 without it; AZ4: a key of another tenant is 404, as one that does not exist."""
    theirs = await _made(gateway, gateway.globex.key("admin"))
    unknown = {"id": "key_01h455vb4pex5vsknk084sn02q"}
    calls: tuple[Callable[..., Any], ...] = (
        lambda key, headers: gateway.client.patch(f"{_KEYS}/{key['id']}", json={"limits": []}, headers=headers),
        lambda key, headers: gateway.client.post(f"{_KEYS}/{key['id']}/disable", headers=headers),
        lambda key, headers: gateway.client.post(f"{_KEYS}/{key['id']}/enable", headers=headers),
    )
    for call in calls:
        assert (await call(theirs, gateway.acme.key(role))).status_code == 403
        answers = [await call(key, gateway.acme.key("admin")) for key in (theirs, unknown)]
        assert [answer.status_code for answer in answers] == [404, 404]
        bodies = {answer.content.replace(answer.headers["x-request-id"].encode(), b"") for answer in answers}
        assert len(bodies) == 1


# Limits bind the family, also when they change (ID16).


async def _family(gateway: Gateway) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A key of a person with five requests a minute, its child and its grandchild."""
    key = await _made(gateway, await _owner(gateway), limits=[_FIVE])
    child = await _made(gateway, _holding(key))
    return key, child, await _made(gateway, _holding(child))


async def test_a_wider_limit_is_one_for_the_whole_family(gateway: Gateway) -> None:
    """ID16: what was counted still counts, and all keys together stay within the new limit."""
    admin, family = gateway.acme.key("owner"), await _family(gateway)
    assert sum([await _admitted(gateway, each, 2) for each in family]) == 5
    assert (await _changed(gateway, family[0], admin, limits=[_EIGHT])).json()["limits"] == [_EIGHT]
    await gateway.catch_up()
    assert sum([await _admitted(gateway, each, 4) for each in reversed(family)]) == 3
    shown = [(await gateway.client.get(f"{_KEYS}/{each['id']}", headers=admin)).json()["limits"] for each in family]
    assert shown == [[_EIGHT]] * 3


async def test_a_wider_limit_frees_no_key_from_its_own(gateway: Gateway) -> None:
    """ID16: a limit that a child was given stays its own, also one that its maker's limit made redundant till then."""
    admin, (key, _, _) = gateway.acme.key("owner"), await _family(gateway)
    equal = await _made(gateway, _holding(key), limits=[_FIVE])
    old = await _made(gateway, _holding(key), limits=[{**_FIVE, "name": "mine"}])
    with psycopg.connect(gateway.urls.owner) as connection:  # as releases before stored it: not bound by its own
        connection.execute(
            "UPDATE tenantry.api_keys SET binding_limits = binding_limits - 0 WHERE last4 = %s AND prefix = %s",
            (old["last4"], old["prefix"]),
        )
    assert (await _changed(gateway, key, admin, limits=[])).json()["limits"] == []
    await gateway.catch_up()
    assert [await _admitted(gateway, each, 7) for each in (equal, old, key)] == [5, 5, 7]


async def test_a_tighter_limit_binds_the_whole_family(gateway: Gateway) -> None:
    """ID16: also the successor that has the secret of an overlap, whose limit it is too."""
    admin, (key, child, grandchild) = gateway.acme.key("owner"), await _family(gateway)
    body = {"overlap_seconds": 60}
    successor = (await gateway.client.post(f"{_KEYS}/{key['id']}/rotate", json=body, headers=admin)).json()
    assert (await _changed(gateway, successor, admin, limits=[_TWO])).status_code == 200
    await gateway.catch_up()
    assert sum([await _admitted(gateway, each, 1) for each in (grandchild, key, successor, child)]) == 2


async def test_a_new_limit_binds_what_the_key_made_before(gateway: Gateway) -> None:
    """ID16: a key without limits leaves no child behind, whose makers are recorded, and takes none along when lost."""
    admin, key = gateway.acme.key("owner"), await _made(gateway, await _owner(gateway))
    child = await _made(gateway, _holding(key))
    grandchild = await _made(gateway, _holding(child))
    sibling = await _made(gateway, await _owner(gateway))
    assert (await _changed(gateway, child, admin, limits=[_FIVE])).status_code == 200
    await gateway.catch_up()
    assert sum([await _admitted(gateway, each, 3) for each in (grandchild, child)]) == 5
    assert [await _admitted(gateway, each, 6) for each in (key, sibling)] == [6, 6]


async def test_a_family_that_would_have_too_many_limits_is_not_changed(gateway: Gateway) -> None:
    """ID16: ten limits bind a key at most; a change that would bind a descendant by more is 409 and changes nothing."""

    def five(quota: int, first: int) -> list[dict[str, Any]]:
        return [{"name": f"w{length}", "quota": quota, "window_seconds": length} for length in range(first, first + 5)]

    admin, key = gateway.acme.key("owner"), await _made(gateway, await _owner(gateway), limits=five(100, 60)[:4])
    child = await _made(gateway, _holding(key), limits=five(90, 60))
    grandchild = await _made(gateway, _holding(child), limits=five(80, 60)[:1])
    refused = await _changed(gateway, key, admin, limits=five(100, 60))
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert len((await gateway.client.get(f"{_KEYS}/{key['id']}", headers=admin)).json()["limits"]) == 4
    assert await _admitted(gateway, grandchild, 1) == 1
