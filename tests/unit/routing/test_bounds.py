"""Every body is bounded in bytes and in values, whether its endpoint is called directly or through FastAPI."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import Body, Depends, FastAPI, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, Response

from gateway.authorization.guards import public, requires
from gateway.problems import validation
from gateway.problems.errors import PayloadTooLarge
from gateway.problems.validation import field_error
from gateway.request.route import DEFAULT_VALUES, MOST_VALUES
from gateway.routing.api_router import APIRouter
from gateway.routing.bounds import BODY_LIMIT, LARGEST_DOCUMENT, NO_BODY_LIMIT, PUBLIC_LIMIT
from gateway.routing.routes import routes_of
from gateway.routing.terms import terms
from tenants.errors import MOST_ERRORS, FieldError, ValidationFailed
from tenants.resources.errors import DeclarationError
from tests.routed import JSON, copy_of, post

pytestmark = pytest.mark.anyio


async def _title(request: Request) -> str:
    return str(request.app.title)


Title = Annotated[str, Depends(_title)]


class Numbers(BaseModel):
    model_config = ConfigDict(extra="forbid")

    numbers: list[int]


async def _sum(body: Numbers) -> Response:
    return JSONResponse(sum(body.numbers))


async def _sum_injected(body: Numbers, _title: Title) -> int:
    return sum(body.numbers)


async def _no_body(request: Request) -> Response:
    return JSONResponse(len(request.headers))


async def _no_body_injected(_title: Title) -> str:
    return ""


def _posted(endpoint: Callable[..., Any], declared: Callable[..., Any]) -> FastAPI:
    app, router = FastAPI(openapi_url=None, docs_url=None, redoc_url=None), APIRouter()
    router.add_api_route("/items/{item_id}", declared(copy_of(endpoint)), methods=["POST"])
    app.include_router(router)
    return app


@pytest.mark.parametrize("endpoint", [_sum, _sum_injected])
@pytest.mark.parametrize(
    ("declared", "limit"),
    [
        (terms(public), PUBLIC_LIMIT),
        (terms(requires("contacts:read")), BODY_LIMIT),
        (terms(public, body_limit=200_000), 200_000),
        (terms(requires("contacts:read"), body_limit=LARGEST_DOCUMENT), LARGEST_DOCUMENT),
    ],
)
async def test_every_body_has_a_bound(endpoint: Callable[..., Any], declared: Callable[..., Any], limit: int) -> None:
    """LD1, DA2: the route's own, or that of its kind; at the bound and one byte beyond it, declared or not."""
    app, body = _posted(endpoint, declared), b'{"numbers": [1, 2]}'.ljust(limit)
    assert (await post(app, body)).json() == 3
    for headers in ((JSON,), (JSON, (b"content-length", b"%d" % (limit + 1)))):
        with pytest.raises(PayloadTooLarge):
            await post(app, body, b" ", headers=headers)


@pytest.mark.parametrize("endpoint", [_no_body, _no_body_injected])
async def test_a_route_without_a_body_takes_a_token_one(endpoint: Callable[..., Any]) -> None:
    """LD1: ``{}`` of a client that sends it with every POST is not read; more is refused by its Content-Length."""
    app = _posted(endpoint, terms(public))
    for size, status in ((2, 200), (NO_BODY_LIMIT, 200), (NO_BODY_LIMIT + 1, 413)):
        try:
            status_found = (await post(app, b"x" * size, headers=((b"content-length", b"%d" % size),))).status
        except PayloadTooLarge:
            status_found = 413
        assert status_found == status, size


def test_a_document_that_would_block_the_event_loop_cannot_be_declared() -> None:
    """LD1: the start fails and says what to do. A body that the endpoint reads itself may be longer."""
    with pytest.raises(DeclarationError, match=r"Route /items.*\n.*read its stream"):
        _posted(_sum, terms(public, body_limit=LARGEST_DOCUMENT + 1))
    _posted(_no_body, terms(public, body_limit=LARGEST_DOCUMENT + 1))


@pytest.mark.parametrize("endpoint", [_sum, _sum_injected])
@pytest.mark.parametrize("limit", [DEFAULT_VALUES, MOST_VALUES])
async def test_the_values_of_a_body_are_bounded(endpoint: Callable[..., Any], limit: int) -> None:
    """LD1: at the bound and one beyond it."""
    app = _posted(endpoint, terms(requires("contacts:read"), value_limit=limit))
    items = limit - 2  # beside the object and the list
    assert (await post(app, b'{"numbers": [' + b"1," * (items - 1) + b"1]}")).json() == items
    with pytest.raises(PayloadTooLarge):
        await post(app, b'{"numbers": [' + b"1," * items + b"1]}")


@pytest.mark.parametrize("endpoint", [_sum, _sum_injected])
@pytest.mark.parametrize("wrong", [MOST_ERRORS - 1, MOST_ERRORS, MOST_ERRORS + 1, 900])
async def test_an_answer_names_a_bounded_number_of_errors(
    endpoint: Callable[..., Any], wrong: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LD1: the first ones, and no others are described: 80,000 of them took 1.1 s."""
    described: list[object] = []

    def count(*arguments: Any, **named: Any) -> FieldError:
        described.append(1)
        return field_error(*arguments, **named)

    monkeypatch.setattr(validation, "field_error", count)
    body = b'{"numbers": [' + b",".join([b"null"] * wrong) + b"]}"
    with pytest.raises(ValidationFailed) as refused:
        await post(_posted(endpoint, terms(requires("contacts:read"))), body)
    named = min(wrong, MOST_ERRORS)
    assert [each.pointer for each in refused.value.errors] == [f"/numbers/{number}" for number in range(named)]
    assert len(described) == named


async def test_a_dependency_of_an_included_router_cannot_read_the_body() -> None:
    """LD1, DA1: FastAPI would read it for routes that have no body of their own, in its own lax way."""

    async def peek(body: Annotated[dict[str, Any], Body()]) -> None: ...

    app, router = FastAPI(openapi_url=None, docs_url=None, redoc_url=None), APIRouter()
    router.add_api_route("/items", terms(public)(copy_of(_no_body)), methods=["POST"])
    app.include_router(router, dependencies=[Depends(peek)])
    with pytest.raises(DeclarationError, match="give it to the endpoint"):
        list(routes_of(app))
