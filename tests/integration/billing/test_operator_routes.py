"""``/operator/v1/plans`` and ``/operator/v1/events``."""

from typing import Any

import pytest

from tests.fixtures.billing import Shop
from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

GOLD: dict[str, Any] = {
    "code": "gold",
    "name": "Gold",
    "rank": 7,
    "windows": [{"name": "burst", "quota": 5, "window_seconds": 1}],
    "features": {"sso": True},
}


@pytest.mark.parametrize("path", ["/operator/v1/plans", "/operator/v1/plans/free", "/operator/v1/events"])
async def test_credentials_of_tenants_are_forbidden(shop: Shop, path: str) -> None:
    """AZ1."""
    client = shop.gateway.client
    assert (await client.get(path)).status_code == 401
    assert (await client.get(path, headers=shop.gateway.acme.key("owner"))).status_code == 403


async def test_a_plan_is_created_listed_read_and_assigned(gateway: Gateway) -> None:
    client, headers = gateway.client, gateway.operator
    made = await client.post("/operator/v1/plans", json=GOLD, headers=headers)
    assert (made.status_code, made.headers["location"]) == (201, "/operator/v1/plans/gold")
    assert made.json() == GOLD | {"concurrency": None, "monthly_quota": None, "stripe_price_id": None}
    listed = (await client.get("/operator/v1/plans", headers=headers)).json()
    assert [each["code"] for each in listed["data"]] == ["free", "pro", "scale", "gold"]
    assert (listed["has_more"], listed["next_cursor"]) == (False, None)
    assert (await client.get("/operator/v1/plans/gold", headers=headers)).json() == made.json()
    assert (await client.get("/operator/v1/plans/silver", headers=headers)).status_code == 404


async def test_a_plan_change_takes_effect_without_a_restart(gateway: Gateway) -> None:
    """ID4, ID14: the limits of all its tenants change, and have changed when that is answered."""
    client, headers = gateway.client, gateway.operator
    windows = [{"name": "burst", "quota": 77, "window_seconds": 1}]
    changed = await client.patch("/operator/v1/plans/scale", json={"windows": windows}, headers=headers)
    assert changed.status_code == 200
    assert changed.json()["windows"] == windows
    assert (await client.get("/v1/me", headers=gateway.acme.key())).json()["plan"]["limits"] == windows


async def test_whole_numbers_with_a_fraction_of_zero_are_integers_in_a_plan(gateway: Gateway) -> None:
    """DA1: as everywhere."""
    change = {
        "rank": 8.0,
        "windows": [{"name": "burst", "quota": 348.0, "window_seconds": 1.0}],
        "concurrency": 5.0,
        "monthly_quota": 9007199254740991.0,
        "features": {"seats": 25.0},
    }
    answer = await gateway.client.patch("/operator/v1/plans/pro", json=change, headers=gateway.operator)
    assert answer.status_code == 200, answer.text
    assert {name: answer.json()[name] for name in change} == change
    assert ".0" not in answer.text
    for quota in (9007199254740992, 9007199254740992.0):
        body = {"monthly_quota": quota, "features": {"seats": quota}}
        answer = await gateway.client.patch("/operator/v1/plans/pro", json=body, headers=gateway.operator)
        assert {each["pointer"] for each in answer.json()["errors"]} == {"/monthly_quota", "/features/seats"}


async def test_an_empty_cursor_is_refused_in_every_list(gateway: Gateway) -> None:
    """IS6: a client that lost its cursor must not get the first page again."""
    lists = ["operator/v1/tenants", "operator/v1/migrations", "v1/api-keys", "v1/usage", "v1/contacts"]
    for path in lists:
        headers = gateway.operator if path.startswith("operator") else gateway.acme.key("admin")
        answer = await gateway.client.get(f"/{path}?cursor=", headers=headers)
        assert answer.status_code == 422, path
        assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == [
            ("/query/cursor", "bad_cursor")
        ]
        assert (await gateway.client.get(f"/{path}?limit=10.0", headers=headers)).status_code == 200


async def test_an_empty_cursor_of_events_is_refused(shop: Shop) -> None:
    """IS6."""
    answer = await shop.gateway.client.get("/operator/v1/events?cursor=", headers=shop.gateway.operator)
    assert [each["code"] for each in answer.json()["errors"]] == ["bad_cursor"]


async def test_if_match_prevents_a_lost_update(gateway: Gateway) -> None:
    """DA4."""
    client, headers = gateway.client, gateway.operator
    tag = (await client.get("/operator/v1/plans/pro", headers=headers)).headers["etag"]
    conditional = headers | {"If-Match": tag}
    first = await client.patch("/operator/v1/plans/pro", json={"name": "Pro 1"}, headers=conditional)
    second = await client.patch("/operator/v1/plans/pro", json={"name": "Pro 2"}, headers=conditional)
    assert (first.status_code, second.status_code) == (200, 412)
    read = await client.get("/operator/v1/plans/pro", headers=headers | {"If-None-Match": tag})
    assert (read.json()["name"], read.headers["etag"]) == ("Pro 1", first.headers["etag"])


async def test_a_change_that_changes_nothing_makes_no_new_version(gateway: Gateway) -> None:
    """DA4: other callers' If-Match does not fail for it."""
    client, headers = gateway.client, gateway.operator
    plan = await client.get("/operator/v1/plans/pro", headers=headers)
    same = await client.patch("/operator/v1/plans/pro", json={"name": plan.json()["name"]}, headers=headers)
    assert same.headers["etag"] == plan.headers["etag"]


_WINDOW = {"name": "x", "quota": 1, "window_seconds": 1}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"code": "other"}, "/code"),
        ({"name": None}, "/name"),
        ({"rank": None}, "/rank"),
        ({"rank": "3"}, "/rank"),
        ({"rank": True}, "/rank"),
        ({"windows": []}, "/windows"),
        ({"windows": None}, "/windows"),
        ({"windows": [_WINDOW | {"quota": 0}]}, "/windows/0/quota"),
        ({"windows": [_WINDOW | {"quota": "1"}]}, "/windows/0/quota"),
        ({"windows": [_WINDOW, _WINDOW]}, "/windows"),
        ({"windows": [_WINDOW, _WINDOW | {"name": "y"}]}, "/windows"),
        ({"monthly_quota": 0}, "/monthly_quota"),
        ({"concurrency": 0}, "/concurrency"),
        ({"concurrency": "1"}, "/concurrency"),
        ({"features": {"sso": None}}, "/features/sso"),
        ({"features": {"seats": -1}}, "/features/seats"),
        ({"features": {"members": 0}}, "/features"),
        ({"features": {"members": True}}, "/features"),
        ({"features": {"members": "many"}}, "/features"),
        ({"stripe_price_id": "prod_1"}, "/stripe_price_id"),
    ],
)
async def test_an_invalid_plan_change_is_rejected(gateway: Gateway, change: dict[str, Any], pointer: str) -> None:
    """AZ7: one error, with its pointer."""
    answer = await gateway.client.patch("/operator/v1/plans/pro", json=change, headers=gateway.operator)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    assert answer.json()["errors"][0]["code"] != "invalid", "says what is wrong"


async def test_there_is_exactly_one_default_plan(gateway: Gateway) -> None:
    answer = await gateway.client.patch("/operator/v1/plans/pro", json={"rank": 0}, headers=gateway.operator)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


async def test_codes_and_prices_are_unique(gateway: Gateway) -> None:
    client, headers = gateway.client, gateway.operator
    priced = GOLD | {"stripe_price_id": "price_1"}
    assert (await client.post("/operator/v1/plans", json=priced, headers=headers)).status_code == 201
    for again in (GOLD, priced | {"code": "silver"}):
        answer = await client.post("/operator/v1/plans", json=again, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        field = "/code" if again is GOLD else "/stripe_price_id"
        assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == [(field, "not_unique")]
    answer = await client.patch("/operator/v1/plans/pro", json={"stripe_price_id": "price_1"}, headers=headers)
    assert [each["pointer"] for each in answer.json()["errors"]] == ["/stripe_price_id"]
    assert answer.status_code == 409


async def test_events_are_listed_in_pages_and_by_status(shop: Shop) -> None:
    """DA3."""
    client, headers = shop.gateway.client, shop.gateway.operator
    bought = shop.buy("pro")
    for plan in ("scale", "pro", "scale"):
        shop.switch(bought, plan)
    events = shop.events()
    for event in events:
        await shop.deliver(event)
    seen, cursor = [], ""
    while True:
        answer = (await client.get(f"/operator/v1/events?limit=3{cursor}", headers=headers)).json()
        seen += [each["id"] for each in answer["data"]]
        if not answer["has_more"]:
            break
        cursor = f"&cursor={answer['next_cursor']}"
    assert seen == [each["id"] for each in events[::-1]]
    await shop.work_off()
    assert len((await client.get("/operator/v1/events?status=applied", headers=headers)).json()["data"]) == 4
    assert (await client.get("/operator/v1/events?status=received", headers=headers)).json()["data"] == []


async def test_a_cursor_that_was_modified_or_belongs_to_another_list_is_rejected(shop: Shop) -> None:
    """IS6."""
    client, headers = shop.gateway.client, shop.gateway.operator
    shop.switch(shop.buy("pro"), "scale")
    for event in shop.events():
        await shop.deliver(event)
    cursor = (await client.get("/operator/v1/events?limit=1", headers=headers)).json()["next_cursor"]
    for query in (f"cursor={cursor}x", f"cursor=A{cursor[1:]}", f"cursor={cursor}&status=applied", "cursor=z"):
        answer = await client.get(f"/operator/v1/events?limit=1&{query}", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


async def test_an_event_is_returned_with_its_payload(shop: Shop) -> None:
    client, headers = shop.gateway.client, shop.gateway.operator
    shop.buy("pro")
    (event,) = shop.events()
    await shop.deliver(event)
    shown = (await client.get(f"/operator/v1/events/{event['id']}", headers=headers)).json()
    assert (shown["type"], shown["status"], shown["payload"]) == ("customer.subscription.created", "received", event)
    assert (await client.get("/operator/v1/events/evt_none", headers=headers)).status_code == 404
    assert (await client.post("/operator/v1/events/evt_none/replay", headers=headers)).status_code == 404
