"""``GET /v1/usage`` for a tenant's admin."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from billing.usage.batch import Batch
from billing.usage.counts import Count, Counted
from billing.usage.service import Usage
from tenants.identifiers import API_KEY, USER, new_id, read, show
from tenants.principal import PrincipalKind, TenantRef
from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

_START = datetime(2026, 1, 10, 22, 0, tzinfo=UTC)
_KEY, _USER = new_id(), new_id()


def _minute(moment: datetime) -> int:
    return int(moment.timestamp() // 60)


def _counted(tenant: TenantRef, after: timedelta, who: UUID, route: str, status_class: int) -> Counted:
    kind = PrincipalKind.USER if who == _USER else PrincipalKind.API_KEY
    return Counted(_minute(_START + after), tenant.id.bytes, who.bytes, route, status_class, kind)


async def _seed(gateway: Gateway) -> None:
    """Three hours around midnight: one request of the key each minute, and one failed request of the user each hour."""
    acme, counts = gateway.acme.ref, {}
    for minute in range(180):
        counts[_counted(acme, timedelta(minutes=minute), _KEY, "/v1/contacts", 2)] = Count(1, 2)
    for hour in range(3):
        counts[_counted(acme, timedelta(hours=hour), _USER, "/v1/deals", 5)] = Count(10, 10)
    other = {_counted(gateway.globex.ref, timedelta(0), _KEY, "/v1/contacts", 2): Count(999, 999)}
    async with gateway.services.database.control() as session:
        assert await Usage().apply(session, Batch.of(uuid4(), 1, counts | other))


async def _ask(gateway: Gateway, **query: str | int) -> Any:
    params = {"from": "2026-01-10T22:00:00Z", "to": "2026-01-11T01:00:00Z", **query}
    answer = await gateway.client.get("/v1/usage", params=params, headers=gateway.acme.key("admin"))
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
async def seeded(gateway: Gateway) -> Gateway:
    await _seed(gateway)
    return gateway


async def test_usage_by_minute_hour_and_day(seeded: Gateway) -> None:
    """Without other tenants' usage, and with the same total for each granularity."""
    by_hour = await _ask(seeded)
    assert by_hour == {
        "data": [
            {"start": "2026-01-10T22:00:00Z", "requests": 70, "cost": 130},
            {"start": "2026-01-10T23:00:00Z", "requests": 70, "cost": 130},
            {"start": "2026-01-11T00:00:00Z", "requests": 70, "cost": 130},
        ],
        "has_more": False,
        "next_cursor": None,
    }
    by_day = await _ask(seeded, granularity="day")
    assert [(row["start"], row["requests"]) for row in by_day["data"]] == [
        ("2026-01-10T00:00:00Z", 140),
        ("2026-01-11T00:00:00Z", 70),
    ]
    by_minute = await _ask(seeded, granularity="minute", limit=3)
    assert [(row["start"], row["requests"]) for row in by_minute["data"]] == [
        ("2026-01-10T22:00:00Z", 11),
        ("2026-01-10T22:01:00Z", 1),
        ("2026-01-10T22:02:00Z", 1),
    ]
    assert by_minute["has_more"] is True


@pytest.mark.parametrize(
    ("group", "values"),
    [
        ("key", {show(API_KEY, _KEY): 60, show(USER, _USER): 10}),
        ("route", {"/v1/contacts": 60, "/v1/deals": 10}),
        ("status", {"2xx": 60, "5xx": 10}),
    ],
)
async def test_buckets_are_grouped_as_requested(seeded: Gateway, group: str, values: dict[str, int]) -> None:
    rows = (await _ask(seeded, group_by=group))["data"]
    assert len(rows) == 6
    assert {row[group]: row["requests"] for row in rows[:2]} == values
    assert all(set(row) == {"start", group, "requests", "cost"} for row in rows)


@pytest.mark.parametrize("group", ["none", "key", "route", "status"])
@pytest.mark.parametrize("limit", [1, 4, 7])
async def test_pages_contain_every_row_once_and_in_order(seeded: Gateway, group: str, limit: int) -> None:
    """DA3."""
    whole = (await _ask(seeded, group_by=group, limit=100))["data"]
    rows, cursor = [], None
    while True:
        page = await _ask(seeded, group_by=group, limit=limit, **({"cursor": cursor} if cursor else {}))
        rows += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert len(page["data"]) == limit
    assert rows == whole


async def test_usage_can_be_filtered_by_key_user_and_route(seeded: Gateway) -> None:
    for query, requests in (
        ({"key": show(API_KEY, _KEY)}, 60),
        ({"key": show(USER, _USER)}, 10),
        ({"key": show(API_KEY, new_id())}, None),
        ({"route": "/v1/deals"}, 10),
        ({"route": "/v1/deals", "key": show(API_KEY, _KEY)}, None),
    ):
        rows = (await _ask(seeded, **query))["data"]
        assert {row["requests"] for row in rows} == ({requests} if requests else set()), query


def _refused() -> Iterator[tuple[dict[str, str], str, str]]:
    yield {"from": "2026-01-10"}, "/query/from", "bad_format"
    yield {"from": "1768082400"}, "/query/from", "bad_format"
    yield {"to": "2026-01-11T01:00:00"}, "/query/to", "bad_format"
    yield {"to": "now"}, "/query/to", "bad_format"
    yield {"to": "2026-01-09T00:00:00Z"}, "/query/from", "bad_range"
    yield {"to": "2026-03-09T00:00:00Z"}, "/query/from", "range_too_long"
    yield {"granularity": "second"}, "/query/granularity", "not_allowed"
    yield {"group_by": "tenant"}, "/query/group_by", "not_allowed"
    yield {"key": "key_1"}, "/query/key", "bad_format"
    yield {"route": "x" * 201}, "/query/route", "too_long"
    yield {"limit": "101"}, "/query/limit", "too_large"
    yield {"from": "2026-01-10T22:00:00 00:00"}, "/query/from", "bad_format"
    yield {"limit": "1.5"}, "/query/limit", "wrong_type"
    yield {"cursor": ""}, "/query/cursor", "bad_cursor"
    yield {"cursor": "AAAA"}, "/query/cursor", "bad_cursor"
    yield {"cursor": "%"}, "/query/cursor", "bad_cursor"
    yield {"since": "2026-01-10T22:00:00Z"}, "/query/since", "unknown_parameter"


async def test_a_range_takes_every_spelling_of_rfc_3339(seeded: Gateway) -> None:
    """DA1: seven and nine digits, lower case, and an offset whose plus is a space is explained."""
    plain = await _ask(seeded, **{"from": "2026-01-10T22:00:00Z", "to": "2026-01-11T01:00:00Z"})
    other = {"from": "2026-01-10t22:00:00.0000000z", "to": "2026-01-11T02:00:00.000000000+01:00"}
    assert await _ask(seeded, **other) == plain
    lost = "/v1/usage?from=2026-01-10T22:00:00+00:00"
    answer = await seeded.client.get(lost, headers=seeded.acme.key("admin"))
    assert "%2B" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(("query", "pointer", "code"), list(_refused()))
async def test_validation_errors_point_to_their_parameters(
    gateway: Gateway, query: dict[str, str], pointer: str, code: str
) -> None:
    whole = {"from": "2026-01-10T22:00:00Z", "to": "2026-01-11T01:00:00Z"}
    answer = await gateway.client.get("/v1/usage", params=whole | query, headers=gateway.acme.key("admin"))
    assert answer.status_code == 422, answer.text
    assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == [(pointer, code)]


async def test_a_cursor_is_bound_to_its_query_and_tenant(seeded: Gateway) -> None:
    """IS6."""
    cursor = (await _ask(seeded, group_by="route", limit=1))["next_cursor"]
    whole = {"from": "2026-01-10T22:00:00Z", "to": "2026-01-11T01:00:00Z", "group_by": "route", "cursor": cursor}
    for changes, headers in (
        ({"group_by": "key"}, seeded.acme.key("admin")),
        ({"granularity": "day"}, seeded.acme.key("admin")),
        ({"to": "2026-01-11T02:00:00Z"}, seeded.acme.key("admin")),
        ({}, seeded.globex.key("admin")),
    ):
        answer = await seeded.client.get("/v1/usage", params=whole | changes, headers=headers)
        assert answer.json()["errors"][0]["code"] == "bad_cursor"


async def test_reading_usage_requires_the_permission(gateway: Gateway) -> None:
    """AZ1."""
    found = {}
    for role in ("owner", "admin", "member", "viewer"):
        found[role] = (await gateway.client.get("/v1/usage", headers=gateway.acme.key(role))).status_code
    assert found == {"owner": 200, "admin": 200, "member": 403, "viewer": 403}
    assert (await gateway.client.get("/v1/usage")).status_code == 401


async def test_usage_equals_the_requests_that_were_served(gateway: Gateway) -> None:
    """End to end: requests of every kind, flushed, and read back by their tenant."""
    viewer, admin = gateway.acme.key("viewer"), gateway.acme.key("admin")
    made = await gateway.client.post("/v1/contacts", json={"name": "Ada", "email": "a@b.example"}, headers=admin)
    for method, path, headers in (
        ("GET", "/v1/me", viewer),
        ("HEAD", "/v1/me", viewer),
        ("GET", made.headers["location"], viewer),
        ("GET", "/v1/contacts/no-id", viewer),
        ("GET", "/nothing/here", viewer),
        ("DELETE", "/v1/me", viewer),
        ("POST", "/v1/contacts", viewer),
        ("GET", "/v1/me", {}),
        ("GET", "/v1/me", gateway.globex.key("viewer")),
    ):
        await gateway.client.request(method, path, headers=headers)
    gateway.services.usage.journal.finish_current()
    await gateway.services.usage.flusher.round()
    headers = {"granularity": "day", "group_by": "route"}
    by_route = (await gateway.client.get("/v1/usage", params=headers, headers=admin)).json()["data"]
    assert {row["route"]: row["requests"] for row in by_route} == {
        "/v1/me": 3,
        "/v1/contacts": 2,
        "/v1/contacts/{id}": 2,
        "unmatched": 1,
    }
    by_key = {"granularity": "day", "group_by": "key"}
    keys = (await gateway.client.get("/v1/usage", params=by_key, headers=admin)).json()["data"]
    assert sorted(row["requests"] for row in keys) == [1, 7]
    assert all(read(API_KEY, row["key"]) for row in keys)
