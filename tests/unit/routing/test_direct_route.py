"""A direct route says with FastAPI around it what it says alone, and reads no body of callers that it refuses."""

from collections.abc import Callable
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.problems.errors import MalformedRequest, UnsupportedMediaType
from gateway.routing.direct_route import DirectRoute
from tenants.errors import Forbidden, TenantryError, ValidationFailed
from tests.asgi import call, http_scope

pytestmark = pytest.mark.anyio

_JSON = (b"content-type", b"application/json")


class Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid")

    count: Annotated[int, Field(strict=True, ge=1)]


async def _guard(request: Request) -> None:
    if request.headers.get("x-api-key") != "good":
        raise Forbidden


async def _read(request: Request) -> Response:
    return JSONResponse({"id": request.path_params["id"], "title": request.app.title})


async def _write(request: Request, body: Wanted) -> Response:
    return JSONResponse({"id": request.path_params["id"], "count": body.count}, 201)


def _with_fastapi(app: FastAPI, _method: str) -> ASGIApp:
    return app


def _alone(app: FastAPI, method: str) -> ASGIApp:
    (route,) = [each for each in _routes(app) if method in (each.methods or ())]
    answer = route.answering(app)

    async def found(scope: Scope, receive: Receive, send: Send) -> None:
        scope["path_params"] = {"id": scope["path"].rpartition("/")[2]}
        await answer(scope, receive, send)

    return found


def _routes(app: FastAPI) -> list[DirectRoute]:
    router: APIRouter = app.state.router
    return [route for route in router.routes if isinstance(route, DirectRoute)]


@pytest.fixture
def app() -> FastAPI:
    router = APIRouter(route_class=DirectRoute)
    for method, endpoint in (("GET", _read), ("POST", _write)):
        router.add_api_route("/things/{id}", endpoint, methods=[method], dependencies=[Depends(_guard)])
    made = FastAPI(title="the app")
    made.state.router = router
    made.include_router(router)
    return made


_WAYS = pytest.mark.parametrize("way", [_with_fastapi, _alone])
Way = Callable[[FastAPI, str], ASGIApp]


def _scope(method: str, key: bytes = b"good", content_type: tuple[bytes, bytes] = _JSON) -> Scope:
    return http_scope(method, "/things/7", headers=[(b"x-api-key", key), content_type])


@_WAYS
async def test_a_route_answers(app: FastAPI, way: Way) -> None:
    """The endpoint is given its request, with the application and the path's parameters, and its body as a model."""
    read = await call(way(app, "GET"), _scope("GET"))
    assert (read.status, read.json()) == (200, {"id": "7", "title": "the app"})
    written = await call(way(app, "POST"), _scope("POST"), [b'{"count"', b": 3}"])
    assert (written.status, written.json()) == (201, {"id": "7", "count": 3})


@_WAYS
@pytest.mark.parametrize(
    ("body", "faults"),
    [
        (b"", [("", "missing")]),
        (b"null", [("", "missing")]),
        (b"[]", [("", "wrong_type")]),
        (b"{}", [("/count", "missing")]),
        (b'{"count": 0}', [("/count", "too_small")]),
        (b'{"count": "3", "more": 1}', [("/count", "wrong_type"), ("/more", "unknown_field")]),
    ],
)
async def test_a_body_is_refused_where_it_is_wrong(
    app: FastAPI, way: Way, body: bytes, faults: list[tuple[str, str]]
) -> None:
    """AZ7: pointers into the body, and codes of our own."""
    with pytest.raises(ValidationFailed) as refused:
        await call(way(app, "POST"), _scope("POST"), [body])
    assert [(each.pointer, each.code) for each in refused.value.errors] == faults


@_WAYS
@pytest.mark.parametrize(
    ("body", "content_type", "error"),
    [
        (b'{"count": NaN}', _JSON, MalformedRequest),
        (b'{"count": 1, "count": 2}', _JSON, MalformedRequest),
        (b'{"count": 1}', (b"content-type", b"text/plain"), UnsupportedMediaType),
    ],
)
async def test_a_body_is_read_strictly(
    app: FastAPI, way: Way, body: bytes, content_type: tuple[bytes, bytes], error: type[TenantryError]
) -> None:
    """DA1."""
    with pytest.raises(error):
        await call(way(app, "POST"), _scope("POST", content_type=content_type), [body])


@_WAYS
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_who_may_not_pass_is_told_before_anything_is_read(app: FastAPI, way: Way, method: str) -> None:
    """AZ1: whatever is wrong with the body."""
    with pytest.raises(Forbidden):
        await call(way(app, method), _scope(method, key=b"bad"), [b"no json"])


def test_the_document_shows_body_and_parameters(app: FastAPI) -> None:
    """FastAPI still describes what it does not run."""
    operation = app.openapi()["paths"]["/things/{id}"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Wanted"}
