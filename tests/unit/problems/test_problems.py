"""Every error is a problem document (RFC 9457) without caller input."""

from typing import Annotated, Literal
from uuid import UUID

import orjson
import pytest
from fastapi import FastAPI, HTTPException, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from structlog.testing import capture_logs

from gateway.authorization.guards import public
from gateway.problems.documents import catalogue, status_of
from gateway.routing.api_router import APIRouter
from gateway.routing.terms import terms
from tenants.credentials import CredentialInvalid, CredentialMissing
from tenants.errors import (
    MOST_ERRORS,
    ErrorKind,
    FieldError,
    NotFound,
    RateLimited,
    TenantryError,
    Unavailable,
    ValidationFailed,
)
from tests.asgi import HOST, Response, call, http_scope
from tests.gated_app import PUBLIC_URL, gated_app

pytestmark = pytest.mark.anyio

_SENT = "zz9-sent-by-the-caller"


def _even(value: int) -> int:
    if value % 2:
        raise PydanticCustomError("odd_number", "Must be even.")
    return value


def _echo_in_template(value: str) -> str:
    raise PydanticCustomError("bad_word", "{word} is a bad word.", {"word": value})


def _echo_in_message(value: str) -> str:
    raise ValueError(f"{value} is invalid")


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=5)
    stage: Literal["lead", "won"] = "lead"
    cents: Annotated[int, Field(ge=0, le=100), AfterValidator(_even)] = 0
    owner: UUID | None = None
    tags: list[int] = []
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    echoed: Annotated[str, AfterValidator(_echo_in_template)] | None = None
    blurted: Annotated[str, AfterValidator(_echo_in_message)] | None = None


_ERRORS: dict[str, Exception] = {
    "missing": CredentialMissing(),
    "invalid": CredentialInvalid(detail="only for the log"),
    "limited": RateLimited(retry_after=7),
    "down": Unavailable(detail="PostgreSQL at 10.0.0.3"),
    "framework": HTTPException(418, detail=_SENT),
    "framework-fault": HTTPException(503, detail="inside"),
    "crash": RuntimeError("inside"),
    "many": ValidationFailed(tuple(FieldError(f"/{number}", "wrong_type", "Wrong.") for number in range(1000))),
}


def _routes(application: FastAPI) -> None:
    router = APIRouter()

    @router.post("/items")
    @terms(public)
    async def create(item: Item) -> dict[str, str]:
        return {"name": item.name}

    @router.get("/items")
    @terms(public)
    async def listed(limit: Annotated[int, Query(ge=1, le=100)] = 25) -> dict[str, int]:
        return {"limit": limit}

    @router.get("/items/{item}")
    @terms(public)
    async def one(item: UUID) -> dict[str, str]:
        raise NotFound(detail=str(item))

    @router.get("/errors/{name}")
    @terms(public)
    async def fails(name: str) -> None:
        raise _ERRORS[name]

    application.include_router(router)


_app = gated_app(_routes)


async def _get(path: str, method: str = "GET", query: bytes = b"") -> Response:
    return await call(_app, http_scope(method, path, query=query))


async def _post(document: object) -> Response:
    body = orjson.dumps(document)
    headers = [HOST, (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    return await call(_app, http_scope("POST", "/items", headers=headers), [body])


def test_every_error_kind_has_a_status() -> None:
    """The table in gateway/problems/documents.py is exhaustive."""
    for kind in ErrorKind:
        one = type("One", (TenantryError,), {"kind": kind, "code": f"a_{kind.value}"})
        assert 400 <= status_of(one) < 600
        del one


@pytest.mark.parametrize(
    ("code", "status"),
    {
        "credential_missing": 401,
        "credential_invalid": 401,
        "credential_expired": 401,
        "credential_revoked": 401,
        "forbidden": 403,
        "not_found": 404,
        "conflict": 409,
        "precondition_failed": 412,
        "payload_too_large": 413,
        "validation_failed": 422,
        "rate_limited": 429,
        "internal": 500,
        "unavailable": 503,
        "malformed_request": 400,
        "method_not_allowed": 405,
        "request_timeout": 408,
        "uri_too_long": 414,
        "unsupported_media_type": 415,
        "headers_too_large": 431,
    }.items(),
)
def test_codes_have_their_documented_status(code: str, status: int) -> None:
    assert status_of(catalogue()[code]) == status


async def test_a_problem_has_exactly_the_documented_members() -> None:
    answer = await _get("/errors/limited")
    assert answer.header("content-type") == "application/problem+json"
    assert answer.json() == {
        "type": f"{PUBLIC_URL}/problems/rate_limited",
        "title": RateLimited.title,
        "status": 429,
        "detail": RateLimited.message,
        "code": "rate_limited",
        "request_id": answer.header("x-request-id"),
    }
    assert answer.header("retry-after") == "7"
    assert answer.header("cache-control") == "no-store"


async def test_401_has_a_challenge_with_an_error_only_if_a_credential_was_sent() -> None:
    """RFC 9110 section 11.6.1 and RFC 6750 section 3.1."""
    assert (await _get("/errors/missing")).header("www-authenticate") == 'Bearer realm="tenantry"'
    invalid = await _get("/errors/invalid")
    assert invalid.header("www-authenticate") == 'Bearer realm="tenantry", error="invalid_token"'
    assert b"only for the log" not in invalid.body


async def test_an_outage_is_503_with_retry_after_and_without_internal_details() -> None:
    answer = await _get("/errors/down")
    assert (answer.status, answer.header("retry-after")) == (503, "1")
    assert b"10.0.0.3" not in answer.body


async def test_framework_exceptions_get_our_messages() -> None:
    """The framework's text may contain caller input or internal details."""
    assert (await _get("/errors/framework")).json()["code"] == "malformed_request"
    answer = await _get("/errors/framework-fault")
    assert (answer.status, answer.json()["code"]) == (500, "internal")
    assert b"inside" not in answer.body


async def test_an_unexpected_exception_is_500_and_logged_once() -> None:
    """SE2."""
    with capture_logs() as logs:
        answer = await _get("/errors/crash")
    assert (answer.status, answer.json()["code"]) == (500, "internal")
    assert b"inside" not in answer.body
    assert [each["event"] for each in logs] == ["request_failed"]


async def test_an_unknown_path_and_an_unknown_object_get_equal_responses() -> None:
    """Equal bytes except the request id; a malformed id is an unknown id."""
    answers = [await _get(path) for path in ("/nowhere", f"/items/{UUID(int=1)}", "/items/no-id-at-all")]
    seen = {answer.body.replace(answer.json()["request_id"].encode(), b"") for answer in answers}
    assert len(seen) == 1
    assert {answer.status for answer in answers} == {404}
    assert len({tuple(name for name, _ in answer.headers) for answer in answers}) == 1


async def test_405_lists_every_method_of_the_path() -> None:
    """RFC 9110 section 15.5.6: over all routes of the path."""
    answer = await _get("/items", "DELETE")
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD, POST")
    assert answer.json()["code"] == "method_not_allowed"
    assert (await _get(f"/items/{UUID(int=1)}", "PATCH")).header("allow") == "GET, HEAD"


async def test_head_is_served_wherever_get_is() -> None:
    """RFC 9110 section 9.3.2."""
    answer = await _get("/items", "HEAD")
    assert (answer.status, answer.header("content-length")) == (200, str(len(b'{"limit":25}')))


@pytest.mark.parametrize(
    ("document", "errors"),
    [
        ({}, [("/name", "missing")]),
        ({"name": "x" * 6}, [("/name", "too_long")]),
        ({"name": _SENT[:5], "stage": _SENT}, [("/stage", "not_allowed")]),
        ({"name": 5}, [("/name", "wrong_type")]),
        ({"name": "a", "cents": 101}, [("/cents", "too_large")]),
        ({"name": "a", "cents": 10**18}, [("/cents", "too_large")]),
        ({"name": "a", "cents": 1.5}, [("/cents", "wrong_type")]),
        ({"name": "a", "cents": 3}, [("/cents", "odd_number")]),
        ({"name": "a", "owner": _SENT}, [("/owner", "invalid")]),
        ({"name": "a", "tags": [1, _SENT]}, [("/tags/1", "wrong_type")]),
        ({"name": "a", "pet": {"kind": _SENT}}, [("/pet", "invalid")]),
        ({"name": "a", "echoed": _SENT}, [("/echoed", "invalid")]),
        ({"name": "a", "blurted": _SENT}, [("/blurted", "invalid")]),
        ({"name": "a", "colour": _SENT}, [("/colour", "unknown_field")]),
        ({"name": "a", f"{_SENT}<script>": 1}, [("", "unknown_field")]),
        ({"name": "a", "tn_live_0123456789abcdefghij": 1}, [("", "unknown_field")]),
        ([], [("", "wrong_type")]),
        (_SENT, [("", "wrong_type")]),
    ],
)
async def test_422_has_pointers_and_codes_and_no_input(document: object, errors: list[tuple[str, str]]) -> None:
    answer = await _post(document)
    assert (answer.status, answer.json()["code"]) == (422, "validation_failed")
    assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == errors
    assert all(each["message"].endswith(".") for each in answer.json()["errors"])
    for hidden in (_SENT, "script", "0123456789"):
        assert hidden.encode() not in answer.body


async def test_an_invalid_query_parameter_has_a_pointer() -> None:
    for value in (b"0", b"101", b"ten"):
        answer = await _get("/items", query=b"limit=" + value)
        assert [each["pointer"] for each in answer.json()["errors"]] == ["/query/limit"]


async def test_the_list_of_errors_is_bounded() -> None:
    """A 1 MB body with errors everywhere must not cause a 10 MB response."""
    answer = await _get("/errors/many")
    assert len(answer.json()["errors"]) == MOST_ERRORS


async def test_a_disconnect_within_the_body_is_not_logged_as_an_error() -> None:
    headers = [HOST, (b"content-type", b"application/json"), (b"content-length", b"10")]
    with capture_logs() as logs:
        answer = await call(_app, http_scope("POST", "/items", headers=headers), [b'{"a":'], disconnects=True)
    assert answer.status == 400
    assert logs == []
