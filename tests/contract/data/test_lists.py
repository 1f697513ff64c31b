"""Pages, sort orders and filters of lists agree with the same operations in Python."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from tests.fixtures.everything import SORTED
from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

_ROWS = 40
Row = dict[str, Any]


@pytest.fixture(scope="module")
async def filled(things: Gateway) -> tuple[Gateway, list[Row]]:
    """A gateway that serves things, and its rows, as the create endpoint returned them."""
    return things, await _fill(things)


async def _fill(gateway: Gateway) -> list[Row]:
    random, rows = Random(7), list[Row]()  # noqa: S311 - the same rows each time
    for number in range(_ROWS):
        body = {name: value for name, value in _random_row(random, number).items() if value is not None}
        if rows and random.random() < 0.5:
            body["parent_id"] = random.choice(rows)["id"]
        answer = await gateway.client.post("/v1/things", json=body, headers=gateway.acme.key())
        assert answer.status_code == 201, answer.text
        rows.append(answer.json())
    return rows


def _random_row(random: Random, number: int) -> Row:
    """Few distinct values, so that there are many ties; a third of them null."""

    def maybe(value: object) -> object:
        return None if random.random() < 0.33 else value

    day = date(2026, 1, 1) + timedelta(random.randrange(4))
    return {
        "name": random.choice(["ada", "bea", "cleo", "dora"]),
        "code": maybe(f"c{number:03d}"),
        "label": maybe(random.choice(["50% off", "50_off", "FIFTY", "back\\slash", "Zoë"])),
        "small": maybe(random.choice([-(2**15), -1, 0, 2**15 - 1])),
        "medium": maybe(random.choice([-(2**31), 0, 2**31 - 1])),
        "large": maybe(random.choice([-(2**63), 0, 2**63 - 1])),
        "price": maybe(random.choice(["-0.01", "0.00", "12.50", "999.99"])),
        "active": maybe(random.random() < 0.5),
        "born": maybe(random.choice(["0001-01-01", day.isoformat(), "9999-12-31"])),
        "seen": maybe(
            random.choice(["0001-01-01T00:00:00Z", f"{day}T00:00:00.5+01:00", "9999-12-31T23:59:59.999999Z"])
        ),
        "colour": random.choice(["red", "green"]),
    }


def _typed(name: str, value: Any) -> Any:
    """A value of a response, as Python compares it."""
    if value is None:
        return None
    if name == "price":
        return Decimal(value)
    if name in ("seen", "created_at"):
        return datetime.fromisoformat(value)
    return date.fromisoformat(value) if name == "born" else value


def _in_order(rows: list[Row], name: str, *, descending: bool) -> list[str]:
    """Null sorts as the greatest; ids, which sort as text, break ties."""
    least = _least(rows, name)

    def place(row: Row) -> tuple[bool, Any, str]:
        value = _typed(name, row[name])
        return value is None, least if value is None else value, row["id"]

    return [row["id"] for row in sorted(rows, key=place, reverse=descending)]


def _least(rows: list[Row], name: str) -> Any:
    return min(_typed(name, row[name]) for row in rows if row[name] is not None)


async def _walk(gateway: Gateway, query: str, limit: int) -> list[Row]:
    """Every row of a list, page by page."""
    rows, cursor = list[Row](), ""
    while True:
        path = f"/v1/things?limit={limit}&{query}{cursor}"
        answer = await gateway.client.get(path, headers=gateway.acme.key())
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["has_more"] is (page["next_cursor"] is not None)
        assert len(page["data"]) == limit or not page["has_more"]
        rows += page["data"]
        if not page["has_more"]:
            return rows
        cursor = f"&cursor={page['next_cursor']}"


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("name", [*SORTED, "id", "parent_id"])
async def test_pages_give_every_row_once_and_in_order(filled: tuple[Gateway, list[Row]], name: str, sign: str) -> None:
    """DA3: for every type, with ties and nulls, and for every row that a page can end at."""
    gateway, rows = filled
    expected = _in_order(rows, name, descending=bool(sign))
    for limit in (1, 7):
        assert [row["id"] for row in await _walk(gateway, f"sort={sign}{name}", limit)] == expected


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, wanted: value is not None and compare(value, wanted)


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "": _ordered(lambda value, wanted: value == wanted),
    "[ne]": lambda value, wanted: value != wanted,
    "[gt]": _ordered(lambda value, wanted: value > wanted),
    "[gte]": _ordered(lambda value, wanted: value >= wanted),
    "[lt]": _ordered(lambda value, wanted: value < wanted),
    "[lte]": _ordered(lambda value, wanted: value <= wanted),
}


@pytest.mark.parametrize("operator", _OPERATORS)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("name", "bea"),
        ("small", "0"),
        ("medium", "2147483647"),
        ("large", "-9223372036854775808"),
        ("price", "12.5"),
        ("born", "2026-01-02"),
        ("seen", "2026-01-02T00:00:00.5%2B01:00"),
    ],
)
async def test_a_comparison_agrees_with_python(
    filled: tuple[Gateway, list[Row]], name: str, text: str, operator: str
) -> None:
    """field=value, ne, gt, gte, lt, lte; null is not equal, greater or less."""
    gateway, rows = filled
    wanted = _typed(name, text.replace("%2B", "+"))
    wanted = int(wanted) if name in ("small", "medium", "large") else wanted
    holds = _OPERATORS[operator]
    expected = {row["id"] for row in rows if holds(_typed(name, row[name]), wanted)}
    found = await _walk(gateway, f"{name}{operator}={text}", 100)
    assert {row["id"] for row in found} == expected


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("active=true", lambda row: row["active"] is True),
        ("active[ne]=true", lambda row: row["active"] is not True),
        ("active[is_null]=true", lambda row: row["active"] is None),
        ("colour=red", lambda row: row["colour"] == "red"),
        ("colour[in]=red", lambda row: row["colour"] == "red"),
        ("name[in]=ada,dora", lambda row: row["name"] in ("ada", "dora")),
        ("small[in]=0,-1,32767", lambda row: row["small"] in (0, -1, 32767)),
        ("large[in]=9223372036854775807,1", lambda row: row["large"] == 2**63 - 1),
        ("price[in]=12.5,0", lambda row: row["price"] in ("12.50", "0.00")),
        ("born[in]=0001-01-01,9999-12-31", lambda row: row["born"] in ("0001-01-01", "9999-12-31")),
        ("label[contains]=%25", lambda row: row["label"] == "50% off"),
        ("label[contains]=_", lambda row: row["label"] == "50_off"),
        ("label[contains]=%5C", lambda row: row["label"] == "back\\slash"),
        ("label[contains]=fifty", lambda row: row["label"] == "FIFTY"),
        ("label[starts_with]=50", lambda row: (row["label"] or "").startswith("50")),
        ("label[starts_with]=%25", lambda _: False),
        ("label[is_null]=false", lambda row: row["label"] is not None),
        ("label=zo%C3%AB", lambda _: False),
        ("parent_id[is_null]=true", lambda row: row["parent_id"] is None),
        ("status=fresh", lambda _: True),
        ("rank[gt]=7", lambda _: False),
        ("small[gte]=0&colour=red", lambda row: row["small"] in (0, 32767) and row["colour"] == "red"),
        ("q=ada+off", lambda row: row["name"] == "ada" and "off" in (row["label"] or "")),
        ("q=ADA", lambda row: row["name"] == "ada"),
        ("q=50%25", lambda row: row["label"] == "50% off"),
        ("q=adaoff", lambda _: False),
    ],
)  # fmt: skip
async def test_a_filter_finds_the_matching_rows(
    filled: tuple[Gateway, list[Row]], query: str, holds: Callable[[Row], bool]
) -> None:
    """IS6: LIKE's wildcards are literal; filters are combined by AND; a search needs every word."""
    gateway, rows = filled
    assert [row["id"] for row in await _walk(gateway, f"{query}&sort=id", 5)] == sorted(
        row["id"] for row in rows if holds(row)
    )


async def test_filters_by_id_take_typed_ids(filled: tuple[Gateway, list[Row]]) -> None:
    """As responses have them."""
    gateway, rows = filled
    parent = next(row["parent_id"] for row in rows if row["parent_id"])
    children = await _walk(gateway, f"parent_id={parent}&sort=id", 100)
    assert [row["id"] for row in children] == [row["id"] for row in rows if row["parent_id"] == parent]
    two = await _walk(gateway, f"id[in]={rows[3]['id']},{rows[9]['id']}&sort=id", 100)
    assert two == [rows[3], rows[9]]


async def test_the_default_page_is_the_newest_25(filled: tuple[Gateway, list[Row]]) -> None:
    """limit=25, sort=-created_at."""
    gateway, rows = filled
    answer = await gateway.client.get("/v1/things", headers=gateway.acme.key())
    assert answer.json()["data"] == rows[:-26:-1]
    times = [datetime.fromisoformat(row["created_at"]) for row in answer.json()["data"]]
    assert all(later >= earlier for later, earlier in pairwise(times))
    assert times[0].tzinfo == UTC


async def test_only_the_limit_may_change_between_pages(filled: tuple[Gateway, list[Row]]) -> None:
    """IS6: a cursor is bound to sort, filters and search."""
    gateway, _ = filled
    key, path = gateway.acme.key(), "/v1/things?sort=name&status=fresh&q=da"
    cursor = (await gateway.client.get(f"{path}&limit=1", headers=key)).json()["next_cursor"]
    assert (await gateway.client.get(f"{path}&limit=50&cursor={cursor}", headers=key)).status_code == 200
    others = (
        "sort=-name&status=fresh&q=da",
        "sort=name&status[ne]=fresh&q=da",
        "sort=name&q=da",
        "sort=name&status=fresh",
    )
    for other in others:
        answer = await gateway.client.get(f"/v1/things?{other}&cursor={cursor}", headers=key)
        assert answer.json()["errors"][0]["pointer"] == "/query/cursor"


async def test_an_empty_list_is_an_empty_page(filled: tuple[Gateway, list[Row]]) -> None:
    """The same three members."""
    gateway, _ = filled
    answer = await gateway.client.get("/v1/things", headers=gateway.globex.key())
    assert answer.json() == {"data": [], "has_more": False, "next_cursor": None}


_LISTED = ["a,b", "a", "b,", "c&d"]


@pytest.fixture(scope="module")
async def listed(things: Gateway) -> Gateway:
    """A gateway with globex's rows whose labels have commas."""
    for label in _LISTED:
        body = {"name": "listed", "label": label}
        answer = await things.client.post("/v1/things", json=body, headers=things.globex.key())
        assert answer.status_code == 201, answer.text
    return things


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("label[in]=a%2Cb,a", ["a,b", "a"]),  # RFC 6570: {?list}, explode=false
        ("label%5Bin%5D=a%2Cb,a", ["a,b", "a"]),
        ("label[in]=a%2Cb&label[in]=a", ["a,b", "a"]),  # RFC 6570: {?list*}; openapi-fetch, openapi-python-client
        ("label[in]=a%2Cb,b%2C&label%5Bin%5D=a", ["a,b", "a", "b,"]),
        ("label[in]=a,b", ["a"]),
        ("label[in]=c%26d,b%2c", ["b,", "c&d"]),
        ("label[in]=a%2Cb", ["a,b"]),
        ("label=a%2Cb", ["a,b"]),
        ("label=a,b", ["a,b"]),
        ("label[contains]=%2C", ["a,b", "b,"]),
    ],
)
async def test_a_list_of_values_means_the_same_however_it_is_sent(
    listed: Gateway, query: str, found: list[str]
) -> None:
    """IS6: a comma inside a value is sent percent-encoded, and one between values is not."""
    answer = await listed.client.get(f"/v1/things?name=listed&{query}&sort=id", headers=listed.globex.key())
    assert answer.status_code == 200, answer.text
    assert [row["label"] for row in answer.json()["data"]] == found


async def test_a_cursor_is_good_for_the_same_list_sent_otherwise(listed: Gateway) -> None:
    """The values count, and not how they were sent."""
    key = listed.globex.key()
    first = await listed.client.get("/v1/things?label[in]=a%2Cb,a&sort=id&limit=1", headers=key)
    again = f"/v1/things?label[in]=a%2Cb&label[in]=a&sort=id&cursor={first.json()['next_cursor']}"
    assert [row["label"] for row in (await listed.client.get(again, headers=key)).json()["data"]] == ["a"]


@pytest.mark.parametrize("operator", ["", "[ne]", "[gt]", "[contains]", "[is_null]"])
async def test_a_filter_with_one_value_is_not_repeated(things: Gateway, operator: str) -> None:
    """AZ7: choosing one of two values would be a guess."""
    answer = await things.client.get(f"/v1/things?label{operator}=a&label{operator}=b", headers=things.acme.key())
    assert answer.status_code == 422
    assert ("/query/label", "repeated") in [(each["pointer"], each["code"]) for each in answer.json()["errors"]]


def _terms(count: int) -> str:
    """Filters that every row of ``_fill`` passes, each with another operator or field."""
    passed = [f"{name}[is_null]=false" for name in ("name", "colour", "status", "rank")]
    bounds = [f"created_at[{operator}]=2000-01-01T00:00:00Z" for operator in ("gt", "gte", "ne")]
    texts = ["name[ne]=x", "name[gte]=a", "name[gt]=a", "name[lt]=z", "name[lte]=z", "name[starts_with]="]
    others = ["name[contains]=", "rank=7", "rank[gte]=7", "rank[lte]=7", "rank[in]=7,8", "rank[ne]=8"]
    last = ["id[ne]=thing_01h455vb4pex5vsknk084sn02q", "colour[in]=red,green"]
    return "&".join([*passed, *bounds, *texts, *others, *last][:count])


async def test_a_list_takes_20_filters_and_not_21(filled: tuple[Gateway, list[Row]]) -> None:
    """LD5: 20 are combined by AND; with one more the list is refused before its filters are read."""
    gateway, rows = filled
    assert len(await _walk(gateway, _terms(20), 100)) == len(rows)
    narrowed = _terms(19) + "&colour=red"
    assert len(await _walk(gateway, narrowed, 100)) == sum(row["colour"] == "red" for row in rows)
    answer = await gateway.client.get(f"/v1/things?{_terms(21)}", headers=gateway.acme.key())
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"pointer": "/query", "code": "too_many", "message": "At most 20 filters."}]
