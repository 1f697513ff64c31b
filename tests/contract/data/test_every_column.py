"""Every kind of column over HTTP: limits, defaults, constraints."""

from contextlib import ExitStack
from typing import Any

import pytest

from tests.fixtures.databases import copy_database
from tests.fixtures.everything import EVERYTHING, create_tables
from tests.fixtures.gateways import Gateway, Template, running_gateway

pytestmark = pytest.mark.anyio


async def _post(gateway: Gateway, body: dict[str, Any], tenant: str = "acme") -> Any:
    return await gateway.client.post("/v1/things", json=body, headers=getattr(gateway, tenant).key())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "x" * 10),
        ("name", "𝄞" * 10),  # ten characters, twenty UTF-16 units, forty bytes
        ("name", "\x01\u2028\uffff"),
        ("label", ""),
        ("label", "x" * 100_000),
        ("small", -(2**15)),
        ("small", 2**15 - 1),
        ("medium", -(2**31)),
        ("medium", 2**31 - 1),
        ("large", -(2**63)),
        ("large", 2**63 - 1),
        ("price", "-9999999999.99"),
        ("price", "1000.00"),
        ("active", True),
        ("active", False),
        ("born", "0001-01-01"),
        ("born", "9999-12-31"),
        ("seen", "0001-01-01T00:00:00Z"),
        ("seen", "9999-12-31T23:59:59.999999Z"),
        ("rank", 1),
        ("rank", 10),
    ],
)
async def test_the_extreme_values_of_a_column_are_stored_exactly(things: Gateway, name: str, value: object) -> None:
    """DA1: created, read, listed and filtered by."""
    made = await _post(things, {"name": "x", name: value})
    assert made.status_code == 201, made.text
    assert made.json()[name] == value
    read = await things.client.get(made.headers["location"], headers=things.acme.key())
    assert read.json() == made.json()
    if name != "label":  # 100,000 characters do not fit into a query
        text = str(value).lower() if isinstance(value, bool) else str(value)
        query = {name: text, "id": made.json()["id"]}
        found = await things.client.get("/v1/things", params=query, headers=things.acme.key())
        assert found.json()["data"] == [made.json()]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "x" * 11),
        ("small", 2**15),
        ("medium", 2**31),
        ("large", 2**63),
        ("large", 2**64),
        ("price", "10000000000.00"),
        ("price", "0.001"),
        ("born", "0000-12-31"),
        ("seen", "0001-01-01T00:00:00+00:01"),
        ("seen", "9999-12-31T23:59:59.999999-00:01"),
        ("rank", 0),
    ],
)
async def test_a_value_beyond_the_column_is_refused(things: Gateway, name: str, value: object) -> None:
    """DA1: numbers beyond the column are 4xx, never 5xx."""
    answer = await _post(things, {"name": "x", name: value})
    assert answer.status_code == 422 or (value == 2**64 and answer.status_code == 400), answer.text
    if answer.status_code == 422:
        assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{name}"]


async def test_a_field_that_is_left_out_gets_its_default(things: Gateway) -> None:
    """The model's value, the model's function, the database's default, or null. Hidden columns are not returned."""
    made = (await _post(things, {"name": "x"})).json()
    assert (made["colour"], made["rank"], made["status"], made["code"]) == ("green", 7, "fresh", None)
    assert "inner" not in made
    assert "version" not in made


async def test_a_unique_value_is_unique_within_its_tenant(things: Gateway) -> None:
    """409; the constraint is per tenant, so that no tenant learns the values of another."""
    assert (await _post(things, {"name": "x", "code": "same"})).status_code == 201
    assert (await _post(things, {"name": "x", "code": "same"}, "globex")).status_code == 201
    again = await _post(things, {"name": "x", "code": "same"})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert again.json()["errors"] == [{"pointer": "/code", "code": "not_unique", "message": "Already in use."}]
    assert "same" not in again.text
    other = await _post(things, {"name": "x", "code": "other"})
    path, key = other.headers["location"], things.acme.key()
    assert (await things.client.patch(path, json={"code": "same"}, headers=key)).status_code == 409
    assert (await things.client.get(path, headers=key)).json() == other.json()


async def test_values_that_are_unique_together_are_all_named(things: Gateway) -> None:
    """409; also of an index on an expression."""
    made = {"name": "x", "label": "Only wheel", "small": 1}
    assert (await _post(things, made)).status_code == 201
    assert (await _post(things, made | {"small": 2})).status_code == 201
    again = await _post(things, made | {"label": "Only WHEEL"})
    assert again.status_code == 409
    assert sorted(each["pointer"] for each in again.json()["errors"]) == ["/label", "/small"]
    assert "wheel" not in again.text.lower()


@pytest.mark.parametrize("digits", ["1234567", "123456789", "1234569999999999999"])
async def test_further_digits_of_a_second_are_cut_in_values_and_filters_alike(things: Gateway, digits: str) -> None:
    """DA1: .NET sends seven digits, Go and Java nine. What was written is found by the same text."""
    key, text = things.acme.key(), f"2026-02-03T04:05:06.{digits}Z"
    made = (await _post(things, {"name": "x", "seen": text})).json()
    assert made["seen"] == "2026-02-03T04:05:06.123456Z"
    for operator, found in (("", True), ("[gte]", True), ("[lte]", True), ("[gt]", False), ("[lt]", False)):
        query = {f"seen{operator}": text, "id": made["id"]}
        listed = await things.client.get("/v1/things", params=query, headers=key)
        assert listed.json()["data"] == ([made] if found else []), operator


async def test_a_number_with_a_fraction_of_zero_is_an_integer_in_bodies_and_queries(things: Gateway) -> None:
    """DA1: 9007199254740993.0 is refused, since it was stored as ...992."""
    key, headers = things.acme.key(), {"content-type": "application/json"}
    body = b'{"name": "x", "large": %s}'

    async def post(number: bytes) -> Any:
        return await things.client.post("/v1/things", content=body % number, headers=key | headers)

    made = await post(b"9007199254740991.0")
    assert made.json()["large"] == 9007199254740991
    query = {"large": "9007199254740991.0", "limit": "10.0", "id": made.json()["id"]}
    assert (await things.client.get("/v1/things", params=query, headers=key)).json()["data"] == [made.json()]
    for number in (b"9007199254740992.0", b"9007199254740993.0", b"-9007199254740993.0", b"9.007199254740993e15"):
        assert (await post(number)).status_code == 422, number
    assert (await post(b"9007199254740993")).json()["large"] == 9007199254740993


async def test_a_check_violation_points_at_the_column_of_its_name(things: Gateway) -> None:
    """A rule of the database alone is still a 422."""
    answer = await _post(things, {"name": "x", "medium": 13})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/medium"


async def test_a_row_can_refer_to_a_row_of_the_same_table(things: Gateway) -> None:
    """Returned as an id; the referenced row cannot be deleted."""
    parent = await _post(things, {"name": "parent"})
    child = await _post(things, {"name": "child", "parent_id": parent.json()["id"]})
    assert child.json()["parent_id"] == parent.json()["id"]
    key = things.acme.key()
    assert (await things.client.delete(parent.headers["location"], headers=key)).status_code == 409
    assert (await things.client.delete(child.headers["location"], headers=key)).status_code == 204
    assert (await things.client.delete(parent.headers["location"], headers=key)).status_code == 204


async def test_a_tenant_without_the_table_answers_503_alone(gateway_template: Template) -> None:
    """A tenant whose migration is pending is unavailable, and no other tenant is."""
    with ExitStack() as stack:
        urls = copy_database(gateway_template.urls, stack)
        create_tables(urls.owner, [gateway_template.acme.ref])
        async with running_gateway(gateway_template, urls, resources=EVERYTHING) as gateway:
            behind, ahead = gateway.globex.key(), gateway.acme.key()
            read = await gateway.client.get("/v1/things", headers=behind)
            written = await _post(gateway, {"name": "x"}, "globex")
            assert [read.json()["code"], written.json()["code"]] == ["unavailable", "unavailable"]
            assert (read.status_code, written.status_code) == (503, 503)
            assert (await _post(gateway, {"name": "x"})).status_code == 201
            assert (await gateway.client.get("/v1/things", headers=ahead)).status_code == 200
