"""One runner for every endpoint: the same strictness whether it is called directly or through FastAPI's injection."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import Depends, FastAPI, Query, Request
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from gateway.authorization.guards import public
from gateway.problems.errors import MalformedRequest, PayloadTooLarge, UnsupportedMediaType
from gateway.routing import runner
from gateway.routing.api_router import APIRouter
from gateway.routing.terms import terms
from tenants.errors import NotFound, TenantryError, ValidationFailed
from tests.asgi import http_scope
from tests.routed import ITEM_ID, JSON, copy_of, get, post, routed

pytestmark = pytest.mark.anyio


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")

    count: Annotated[int, Field(strict=True, ge=1)]


class Filters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = 10


async def _title(request: Request) -> str:
    return str(request.app.title)


Title = Annotated[str, Depends(_title)]


async def _read(request: Request, item_id: UUID) -> Response:
    return JSONResponse({"id": item_id.int, "title": request.app.title})


async def _read_injected(item_id: UUID, title: Title) -> dict[str, Any]:
    return {"id": item_id.int, "title": title}


async def _write(item_id: UUID, body: Item) -> Response:
    return JSONResponse({"id": item_id.int, "count": body.count}, 201)


async def _write_injected(item_id: UUID, body: Item, _title: Title) -> dict[str, int]:
    return {"id": item_id.int, "count": body.count}


def _app(read: Callable[..., Any], write: Callable[..., Any]) -> FastAPI:
    router = APIRouter()
    router.add_api_route("/items/{item_id}", terms(public)(copy_of(read)), methods=["GET"])
    bounded = terms(public, body_limit=30)(copy_of(write))
    router.add_api_route("/items/{item_id}", bounded, methods=["POST"], status_code=201)
    app = FastAPI(title="the app", openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(router)
    return app


@pytest.fixture(params=["direct", "injected"])
def app(request: pytest.FixtureRequest) -> FastAPI:
    """The same two routes, called directly and with FastAPI's injection."""
    return _app(_read, _write) if request.param == "direct" else _app(_read_injected, _write_injected)


def test_an_endpoint_is_called_directly_unless_it_needs_injection() -> None:
    """The fixture below compares two ways, and not one way with itself."""
    ways = {}
    for app in (_app(_read, _write), _app(_read_injected, _write_injected)):
        for context in iter_route_contexts(app.routes):
            ways[context.endpoint.__wrapped__] = runner._direct_call(context) is not None  # type: ignore[union-attr]
    assert ways == {_read: True, _write: True, _read_injected: False, _write_injected: False}


async def test_an_endpoint_gets_its_request_its_path_and_its_body(app: FastAPI) -> None:
    """Parameters have the types of their annotations."""
    read = await get(app)
    assert (read.status, read.json()) == (200, {"id": 7, "title": "the app"})
    written = await post(app, b'{"count"', b": 3}")
    assert (written.status, written.json()) == (201, {"id": 7, "count": 3})


async def test_a_path_parameter_of_another_type_does_not_exist(app: FastAPI) -> None:
    """AZ4: 404, and not an error that describes ids."""
    with pytest.raises(NotFound):
        await get(app, "/items/seven")


@pytest.mark.parametrize("query", [b"limit=1", b"x=1&x=2", b"="])
async def test_an_unknown_parameter_is_refused(app: FastAPI, query: bytes) -> None:
    """AZ7."""
    with pytest.raises(ValidationFailed) as refused:
        await get(app, query=query)
    assert {each.code for each in refused.value.errors} == {"unknown_parameter"}


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        (b"", [("", "missing")]),
        (b"null", [("", "wrong_type")]),
        (b"[]", [("", "wrong_type")]),
        (b"{}", [("/count", "missing")]),
        (b'{"count": 0}', [("/count", "too_small")]),
        (b'{"count": "3", "more": 1}', [("/count", "wrong_type"), ("/more", "unknown_field")]),
    ],
)
async def test_an_invalid_body_is_refused_with_pointers(
    app: FastAPI, body: bytes, faults: list[tuple[str, str]]
) -> None:
    """AZ7: pointers into the body, and codes of our own."""
    with pytest.raises(ValidationFailed) as refused:
        await post(app, body)
    assert [(each.pointer, each.code) for each in refused.value.errors] == faults


@pytest.mark.parametrize(
    ("body", "content_type", "error"),
    [
        (b'{"count": NaN}', JSON, MalformedRequest),
        (b'{"count": 1, "count": 2}', JSON, MalformedRequest),
        (b'{"count": 1}', (b"content-type", b"text/plain"), UnsupportedMediaType),
    ],
)
async def test_a_body_is_read_strictly(
    app: FastAPI, body: bytes, content_type: tuple[bytes, bytes], error: type[TenantryError]
) -> None:
    """DA1."""
    with pytest.raises(error):
        await post(app, body, headers=(content_type,))


@pytest.mark.parametrize("length", [None, b"31"])
async def test_a_body_beyond_the_bound_of_its_route_is_refused(app: FastAPI, length: bytes | None) -> None:
    """DA2: by its Content-Length before it is read, else as soon as it is longer."""
    received: list[int] = []
    headers = (JSON,) if length is None else (JSON, (b"content-length", length))

    async def receive() -> Message:
        received.append(1)
        return {"type": "http.request", "body": b" " * 16, "more_body": True}

    async def send(_message: Message) -> None:
        raise AssertionError("no answer was expected")

    with pytest.raises(PayloadTooLarge):
        await routed(app, "POST")(http_scope("POST", f"/items/{ITEM_ID}", headers=headers), receive, send)
    assert len(received) == (2 if length is None else 0)


async def test_a_body_within_the_bound_of_its_route_is_read(app: FastAPI) -> None:
    """DA2: to the byte."""
    body = b'{"count": 3}'.ljust(30)
    answer = await post(app, body, headers=(JSON, (b"content-length", b"30")))
    assert answer.status == 201
    with pytest.raises(PayloadTooLarge) as refused:
        await post(app, body + b" ")
    assert refused.value.message == "The body exceeds 30 bytes, the most that this route accepts. Send a smaller body."


def _with_query(endpoint: Callable[..., Any], **declared: Any) -> FastAPI:
    app, router = FastAPI(openapi_url=None, docs_url=None, redoc_url=None), APIRouter()
    router.add_api_route("/items", terms(public, **declared)(endpoint), methods=["GET"])
    app.include_router(router)
    return app


async def _codes(app: FastAPI, query: bytes) -> list[tuple[str, str]]:
    try:
        await get(app, "/items", query)
    except ValidationFailed as refused:
        return [(each.pointer, each.code) for each in refused.errors]
    return []


async def _scalars(limit: int = 10, tag: Annotated[list[str] | None, Query()] = None) -> dict[str, Any]:
    return {"limit": limit, "tag": tag}


async def _model(filters: Annotated[Filters, Query()]) -> dict[str, int]:
    return {"limit": filters.limit}


async def _nested(limit: Annotated[int, Depends(lambda limit=1: limit)]) -> dict[str, int]:
    return {"limit": limit}


@pytest.mark.parametrize("endpoint", [_scalars, _model, _nested])
async def test_the_query_of_an_injected_endpoint_is_read_strictly(endpoint: Callable[..., Any]) -> None:
    """AZ7: FastAPI ignores unknown names, and takes the last of two values."""
    app = _with_query(copy_of(endpoint))
    assert await _codes(app, b"limit=5") == []
    assert await _codes(app, b"limit=5&limit=6") == [("/query/limit", "repeated")]
    if endpoint is not _model:  # whose unknown names pydantic reports
        assert await _codes(app, b"limit=5&lmit=6") == [("/query/lmit", "unknown_parameter")]


async def test_a_list_may_be_given_several_times() -> None:
    """A parameter that is declared as a list is no repetition."""
    answer = await get(_with_query(copy_of(_scalars)), "/items", b"tag=a&tag=b")
    assert answer.json() == {"limit": 10, "tag": ["a", "b"]}


async def test_terms_can_allow_any_query() -> None:
    """Probes and scrapers add parameters of their own."""

    async def probe() -> Response:
        return Response()

    assert (await get(_with_query(probe, query=None), "/items", b"any=1&any=2")).status == 200


async def test_a_dependency_of_function_scope_ends_before_the_response_is_sent() -> None:
    """One request, one transaction: it commits before the response leaves."""
    events: list[str] = []

    async def transaction() -> AsyncIterator[None]:
        yield
        events.append("committed")

    async def endpoint(_: Annotated[None, Depends(transaction, scope="function")]) -> Response:
        return _Noted(events)

    await get(_with_query(endpoint), "/items")
    assert events == ["committed", "sent"]


class _Noted(Response):
    def __init__(self, events: list[str]) -> None:
        super().__init__()
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._events.append("sent")
        await super().__call__(scope, receive, send)


class _Reused(NotFound):
    """Raised after the end of a session was committed."""


@pytest.mark.parametrize(
    ("fault", "declared", "waits"),
    [
        (None, {"ends_rights": True}, 1),
        (None, {}, 0),
        (NotFound, {"ends_rights": True, "ending_errors": (_Reused,)}, 0),
        (_Reused, {"ending_errors": (_Reused,)}, 1),
        (None, {"ending_errors": (_Reused,)}, 0),
    ],
)
async def test_a_change_of_rights_is_answered_after_every_worker_has_confirmed_it(
    fault: type[TenantryError] | None, declared: dict[str, Any], waits: int
) -> None:
    """ID14: between the commit of the endpoint and the first byte of the answer. Other errors changed nothing."""
    order: list[str] = []

    async def endpoint(item_id: UUID) -> Response:
        order.append(f"committed {item_id.int}")
        if fault is not None:
            raise fault
        return Response()

    async def confirm() -> None:
        order.append("confirmed")

    router, app = APIRouter(), FastAPI(openapi_url=None)
    router.add_api_route("/items/{item_id}", terms(public, **declared)(endpoint), methods=["POST"])
    app.include_router(router)
    app.state.confirm = confirm
    try:
        await post(app)
    except NotFound:
        order.append("refused")
    else:
        order.append("answered")
    assert order == [f"committed {ITEM_ID.int}", *["confirmed"] * waits, "answered" if fault is None else "refused"]
