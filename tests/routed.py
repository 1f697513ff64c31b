"""Calls the routes of a FastAPI application as the gate does, without its stages."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.request.context import RequestContext
from gateway.request.fields import RequestFields
from gateway.routing.routes import routes_of
from tests.asgi import Header, Response, call, http_scope

JSON: Header = (b"content-type", b"application/json")
ITEM_ID = UUID(int=7)


def copy_of(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Terms are declared once for each function; every test registers its own."""

    async def copy(**values: Any) -> Any:
        return await endpoint(**values)

    copy.__wrapped__ = endpoint  # type: ignore[attr-defined]  # gives it the endpoint's signature
    return copy


def routed(app: FastAPI, method: str) -> ASGIApp:
    """The route as the gate calls it."""
    (route,) = [each for each in routes_of(app) if each.method == method]

    async def found(scope: Scope, receive: Receive, send: Send) -> None:
        scope["path_params"] = {"item_id": scope["path"].rpartition("/")[2]}
        RequestContext(scope, RequestFields.of(scope["headers"]), receive, "req_test", "192.0.2.1")
        await route.app(scope, receive, send)

    return found


async def get(app: FastAPI, path: str = f"/items/{ITEM_ID}", query: bytes = b"") -> Response:
    return await call(routed(app, "GET"), http_scope("GET", path, query=query))


async def post(app: FastAPI, *chunks: bytes, headers: tuple[tuple[bytes, bytes], ...] = (JSON,)) -> Response:
    return await call(routed(app, "POST"), http_scope("POST", f"/items/{ITEM_ID}", headers=headers), chunks)
