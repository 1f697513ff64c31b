"""``GET /v1/api-keys``: filters, order, pages, and what each key shows of its life and its use."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from tenants.roles.builtin import BuiltInRole
from tests.fixtures.gateways import PASSWORD, Gateway

pytestmark = pytest.mark.anyio
_KEYS = "/v1/api-keys"
_SEEDED = {"first key", *(f"the {role.value} key" for role in BuiltInRole)}
_NOW = datetime.now(UTC)


def _at(days: float) -> str:
    return (_NOW + timedelta(days=days)).isoformat()


async def _made(gateway: Gateway, headers: dict[str, str], name: str, **wanted: Any) -> dict[str, Any]:
    answer = await gateway.client.post(_KEYS, json={"name": name, "role": "viewer", **wanted}, headers=headers)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def _listed(gateway: Gateway, **query: str) -> httpx.Response:
    return await gateway.client.get(_KEYS, params=query, headers=gateway.acme.key("admin"))


async def _names(gateway: Gateway, **query: str) -> set[str]:
    answer = await _listed(gateway, limit="100", **query)
    assert answer.status_code == 200, answer.text
    return {each["name"] for each in answer.json()["data"]} - _SEEDED


async def _seed(gateway: Gateway) -> dict[str, dict[str, Any]]:
    """One key of each status, with makers, expiries and uses that differ."""
    admin, client = gateway.acme.key("admin"), gateway.client
    sent = {"email": gateway.acme.emails["owner"], "password": PASSWORD, "tenant": "acme"}
    person = {"Authorization": f"Bearer {(await client.post('/v1/auth/login', json=sent)).json()['access_token']}"}
    keys = {
        "active": await _made(gateway, person, "active", role="member"),
        "disabled": await _made(gateway, person, "disabled"),
        "expired": await _made(gateway, admin, "expired", expires_at=_at(30)),
        "revoked": await _made(gateway, admin, "revoked"),
        "rotating": await _made(gateway, admin, "rotating", expires_at=_at(60)),
        "100%": await _made(gateway, admin, "100% of_it"),
    }
    paths = {name: f"{_KEYS}/{key['id']}" for name, key in keys.items()}
    await client.post(f"{paths['disabled']}/disable", headers=admin)
    await client.post(f"{paths['revoked']}/revoke", headers=admin)
    rotated = await client.post(f"{paths['rotating']}/rotate", json={"overlap_seconds": 86_400}, headers=admin)
    await client.patch(f"{_KEYS}/{rotated.json()['id']}", json={"name": "successor"}, headers=admin)
    with psycopg.connect(gateway.urls.owner) as connection:
        connection.execute("UPDATE tenantry.api_keys SET expires_at = now() WHERE name = 'expired'")
        for name, days in (("active", 1), ("expired", 40)):
            use = (
                "INSERT INTO tenantry.api_key_uses SELECT id, 7, %s, '192.0.2.7' FROM tenantry.api_keys WHERE name = %s"
            )
            connection.execute(use, (_at(-days), name))
    return keys


async def test_each_filter_selects_what_it_says(gateway: Gateway) -> None:
    """DA3: status, role, maker, times and name, alone and together."""
    keys = await _seed(gateway)
    everything = {"active", "disabled", "expired", "revoked", "rotating", "successor", "100% of_it"}
    person, admin_key = keys["active"]["created_by"], keys["revoked"]["created_by"]
    cases: list[tuple[dict[str, str], set[str]]] = [
        ({}, everything),
        ({"status": "active"}, {"active", "successor", "100% of_it"}),
        ({"status": "rotating"}, {"rotating"}),
        ({"status": "disabled"}, {"disabled"}),
        ({"status": "expired"}, {"expired"}),
        ({"status": "revoked"}, {"revoked"}),
        ({"status[ne]": "active"}, {"disabled", "expired", "revoked", "rotating"}),
        ({"status[in]": "expired,revoked"}, {"expired", "revoked"}),
        ({"role": "member"}, {"active"}),
        ({"role": "viewer", "status[in]": "disabled,active"}, {"disabled", "successor", "100% of_it"}),
        ({"role[in]": "member,king"}, {"active"}),
        ({"role[ne]": "viewer"}, {"active"}),
        ({"created_by": person}, {"active", "disabled"}),
        ({"created_by": admin_key}, everything - {"active", "disabled"}),
        ({"created_by[is_null]": "true"}, set()),
        ({"created_by[is_null]": "false"}, everything),
        ({"name": "active"}, {"active"}),
        ({"name[contains]": "ED"}, {"disabled", "expired", "revoked"}),
        ({"name[contains]": "%"}, {"100% of_it"}),
        ({"name[contains]": "f_i"}, {"100% of_it"}),
        ({"name[starts_with]": "re"}, {"revoked"}),
        ({"name[ne]": "active", "role": "member"}, set()),
        ({"expires_at[is_null]": "true"}, {"active", "disabled", "revoked", "100% of_it"}),
        ({"expires_at[lt]": _at(7), "expires_at[gt]": _NOW.isoformat()}, {"rotating", "expired"}),
        ({"expires_at[gte]": _at(7)}, {"successor"}),
        ({"last_used_at[is_null]": "false"}, {"active", "expired"}),
        ({"last_used_at[lt]": _at(-30)}, {"expired"}),
        ({"last_used_at[gte]": _at(-1)}, {"active"}),
        ({"created_at[gte]": _at(-1)}, everything),
        ({"created_at[lte]": _at(-1)}, set()),
    ]
    for query, expected in cases:
        assert await _names(gateway, **query) == expected, query


async def test_keys_show_their_status_and_their_use(gateway: Gateway) -> None:
    """In the list as when read: last use, its address, and the number of requests; nulls for a key without use."""
    keys = await _seed(gateway)
    listed = {each["name"]: each for each in (await _listed(gateway, limit="100")).json()["data"]}
    assert {name: listed[name]["status"] for name in keys if name in listed} == {
        name: name for name in keys if name in listed
    }
    used = listed["active"]
    assert (used["requests"], used["last_used_from"]) == (7, "192.0.2.7")
    assert datetime.fromisoformat(used["last_used_at"]) == datetime.fromisoformat(_at(-1))
    unused = listed["disabled"]
    assert (unused["requests"], unused["last_used_at"], unused["last_used_from"]) == (0, None, None)
    for each in (used, unused):
        read = await gateway.client.get(f"{_KEYS}/{each['id']}", headers=gateway.acme.key("admin"))
        assert read.json() == each


async def test_a_filter_that_is_not_one_is_refused(gateway: Gateway) -> None:
    """AZ7: 422 for unknown fields, operators and values, so that no misspelt filter matches everything."""
    for name, value in (
        ("digest", "x"),
        ("metadata", "x"),
        ("status", "king"),
        ("status[gt]", "active"),
        ("status[in]", "active,king"),
        ("status[in]", ""),
        ("role[in]", ",".join(["viewer"] * 21)),
        ("role[contains]", "a"),
        ("name[]", "a"),
        ("name[contains", "a"),
        ("name", "x" * 101),
        ("created_by", "me"),
        ("created_by", "tnt_01h455vb4pex5vsknk084sn02q"),
        ("created_by[ne]", "usr_01h455vb4pex5vsknk084sn02q"),
        ("last_used_at", _at(0)),
        ("last_used_at[gt]", "yesterday"),
        ("expires_at[is_null]", "perhaps"),
        ("sort", "last_used_at"),
    ):
        answer = await _listed(gateway, **{name: value})
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), (name, value)


async def test_a_cursor_belongs_to_its_filters_and_its_order(gateway: Gateway) -> None:
    """DA3, IS6: pages of a filtered list have every key once, in both orders; a cursor fits no other list."""
    admin = gateway.acme.key("admin")
    wanted = [(await _made(gateway, admin, f"page {number}"))["id"] for number in range(5)]
    for sort, order in (("created_at", wanted), ("-created_at", wanted[::-1])):
        seen: list[str] = []
        query = {"limit": "2", "sort": sort, "name[starts_with]": "page", "status[in]": "active"}
        cursor: str | None = None
        last: str | None = None
        while cursor or not seen:
            page = (await _listed(gateway, **query, **({"cursor": cursor} if cursor else {}))).json()
            seen += [each["id"] for each in page["data"]]
            last, cursor = cursor, page["next_cursor"]
        assert seen == order
        assert last is not None
        for other in ({"sort": "created_at" if sort[0] == "-" else "-created_at"}, {"name[starts_with]": "pag"}):
            assert (await _listed(gateway, **(query | other), cursor=last)).status_code == 422
        assert (await _listed(gateway, limit="2", sort=sort, cursor=last)).status_code == 422
        theirs = await gateway.client.get(_KEYS, params=query | {"cursor": last}, headers=gateway.globex.key("admin"))
        assert theirs.status_code == 422
