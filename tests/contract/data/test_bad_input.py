"""Invalid input is a 4xx with a pointer, never a 5xx, and is never echoed."""

from typing import Any

import pytest

from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio


def _pointers(answer: Any) -> list[tuple[str, str]]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "validation_failed"
    return [(error["pointer"], error["code"]) for error in problem["errors"]]


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({}, [("/name", "missing")]),
        ({"name": ""}, [("/name", "too_short")]),
        ({"name": "x" * 201}, [("/name", "too_long")]),
        ({"name": "Ada", "stage": "unheard of"}, [("/stage", "not_allowed")]),
        ({"name": "Ada", "value_cents": -1}, [("/value_cents", "too_small")]),
        ({"name": "Ada L", "value_cents": 2**63}, [("/value_cents", "too_large")]),
        ({"name": "Ada L", "value_cents": 1.5}, [("/value_cents", "wrong_type")]),
        ({"name": "Ada", "email": "ada"}, [("/email", "bad_format")]),
        ({"name": "Ada", "nickname": "A"}, [("/nickname", "unknown_field")]),
        ({"name": "Ada", "id": "contact_01kc2q7v8ze1rb9m3x5w6t0h4d"}, [("/id", "unknown_field")]),
        ({"name": "Ada", "version": 9}, [("/version", "unknown_field")]),
        ([], [("", "wrong_type")]),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_an_invalid_body_is_refused_with_pointers(
    shared_gateway: Gateway, method: str, body: Any, faults: list[tuple[str, str]]
) -> None:
    """AZ7: 422 with pointers; unknown and read-only fields are refused."""
    key = shared_gateway.acme.key()
    path = "/v1/contacts"
    if method == "PATCH":
        path = (await shared_gateway.client.post(path, json={"name": "Ada"}, headers=key)).headers["location"]
    answer = await shared_gateway.client.request(method, path, json=body, headers=key)
    if method == "PATCH" and body == {}:
        assert answer.status_code == 200
    else:
        assert answer.status_code == 422, answer.text
        assert _pointers(answer) == faults


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "Ada L", "name": "Bea"}',
        b'{"name": "Ada L\\u0000"}',
        b'{"name": "\\ud800"}',
        b'{"name": "Ada L", "value_cents": NaN}',
        b'{"name": "Ada L", "value_cents": 1e999}',
        b'{"name": "Ada L", "value_cents": 99999999999999999999}',
        b'{"name": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"name": "Ada L"',
        b"\xff\xfe",
        b"",
    ],
)
async def test_invalid_json_is_refused_and_not_echoed(shared_gateway: Gateway, body: bytes) -> None:
    """DA1: any invalid form, duplicate keys and numbers beyond the column are 4xx, never 5xx."""
    headers = {**shared_gateway.acme.key(), "content-type": "application/json"}
    answer = await shared_gateway.client.post("/v1/contacts", content=body, headers=headers)
    assert answer.status_code in (400, 422), answer.text
    assert "Ada" not in answer.text
    rows = await shared_gateway.client.get("/v1/contacts?name[starts_with]=Ada%20L", headers=shared_gateway.acme.key())
    assert rows.json()["data"] == []


@pytest.mark.parametrize(
    ("query", "faults"),
    [
        ("nickname=A", [("/query/nickname", "unknown_parameter")]),
        ("notes=x", [("/query/notes", "unknown_parameter")]),
        ("name[like]=x", [("/query/name", "unknown_operator")]),
        ("value_cents=lots", [("/query/value_cents", "wrong_type")]),
        ("value_cents[gt]=9223372036854775808", [("/query/value_cents", "too_large")]),
        ("created_at[gt]=yesterday", [("/query/created_at", "bad_format")]),
        ("created_at[gt]=2026-01-01T00:00:00+00:00", [("/query/created_at", "bad_format")]),  # + is a space here
        ("name=%ff", [("/query", "bad_format")]),
        ("sort=notes", [("/query/sort", "unknown_sort")]),
        ("limit=101", [("/query/limit", "out_of_range")]),
        ("limit=1&limit=2", [("/query/limit", "repeated")]),
        ("cursor=x", [("/query/cursor", "bad_cursor")]),
        ("cursor=", [("/query/cursor", "bad_cursor")]),
        ("q=x", [("/query/q", "too_short")]),
        ("&".join(f"a{number}=1" for number in range(300)), [("/query", "bad_format")]),
    ],
)
async def test_a_list_refuses_invalid_parameters(
    shared_gateway: Gateway, query: str, faults: list[tuple[str, str]]
) -> None:
    """AZ7, IS6: unknown fields, operators and parameters are refused with 422."""
    answer = await shared_gateway.client.get(f"/v1/contacts?{query}", headers=shared_gateway.acme.key())
    assert answer.status_code == 422, answer.text
    assert _pointers(answer) == faults


@pytest.mark.parametrize("method", ["POST", "GET", "PATCH", "DELETE"])
async def test_a_parameter_of_a_route_that_takes_none_is_refused(shared_gateway: Gateway, method: str) -> None:
    """AZ7: a filter on the wrong path is an error, and nothing is written."""
    key = shared_gateway.acme.key()
    made = await shared_gateway.client.post("/v1/contacts", json={"name": "Ada"}, headers=key)
    path = "/v1/contacts" if method == "POST" else made.headers["location"]
    body: dict[str, Any] = {"json": {"name": "Bea"}} if method in ("POST", "PATCH") else {}
    answer = await shared_gateway.client.request(method, f"{path}?force=true", headers=key, **body)
    assert _pointers(answer) == [("/query/force", "unknown_parameter")]
    now = await shared_gateway.client.get(made.headers["location"], headers=key)
    assert now.headers["etag"] == made.headers["etag"]


@pytest.mark.parametrize(
    "contact", ["contact_01kc2q7v8ze1rb9m3x5w6t0h4d", "deal_01kc2q7v8ze1rb9m3x5w6t0h4d", "x", 1, ""]
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_reference_to_a_missing_object_is_refused(
    shared_gateway: Gateway, method: str, contact: object
) -> None:
    """A foreign key violation points at its field."""
    key = shared_gateway.acme.key()
    body: dict[str, object] = {"title": "Two engines"}
    path = "/v1/deals"
    if method == "PATCH":
        path = (await shared_gateway.client.post(path, json=body, headers=key)).headers["location"]
    answer = await shared_gateway.client.request(method, path, json=body | {"contact_id": contact}, headers=key)
    assert answer.status_code == 422, answer.text
    assert [pointer for pointer, _ in _pointers(answer)] == ["/contact_id"]


@pytest.mark.parametrize("row", ["x", "contact_", "contact_01KC2Q7V8ZE1RB9M3X5W6T0H4D", "..%2f..", "é" * 40])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_a_malformed_id_is_not_found(shared_gateway: Gateway, method: str, row: str) -> None:
    """AZ4: as every unknown id."""
    body: dict[str, Any] = {"json": {"name": "x"}} if method == "PATCH" else {}
    answer = await shared_gateway.client.request(
        method, f"/v1/contacts/{row}", headers=shared_gateway.acme.key(), **body
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/v1/contacts?name=%00", "/v1/contacts?q=ab%00"])
async def test_a_nul_in_a_parameter_is_refused(shared_gateway: Gateway, path: str) -> None:
    """DA1: PostgreSQL cannot store it. The HTTP server refuses it too, also in paths."""
    answer = await shared_gateway.client.get(path, headers=shared_gateway.acme.key())
    assert answer.status_code == 422
