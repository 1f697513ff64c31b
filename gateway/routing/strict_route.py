"""The route class of every management and data endpoint: bodies and queries are read strictly (DA1, AZ7).

``APIRouter(route_class=StrictRoute)``. FastAPI itself reads with the standard library, which takes NaN and repeated
names, and fails with a 500 on lone surrogates and deep nesting; and it overlooks parameters that nobody declared.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.params import Form
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from gateway.problems.errors import MalformedRequest, UnsupportedMediaType
from gateway.routing.query import refuse_parameters, refuse_repetitions
from gateway.routing.strict_json import parse

_UNREAD = object()
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class StrictRequest(Request):
    """A request whose ``json`` is strict. Raises MalformedRequest where Starlette would raise a decoding error."""

    _document: Any = _UNREAD

    async def json(self) -> Any:
        """The body's document, parsed once."""
        if self._document is _UNREAD:
            self._document = parse(await self.body())
        return self._document


class StrictRoute(APIRoute):
    """Reads and checks the body before FastAPI does, whose error handling hides what was wrong with it.

    A route takes the parameters that its endpoint declares or its part of the OpenAPI document names, and no others: a
    filter that is misspelt, or on the wrong path, must not be taken for one that found everything.
    """

    def get_route_handler(self) -> Handler:
        handler = super().get_route_handler()
        if self.body_field is not None and not isinstance(self.body_field.field_info, Form):
            handler = _with_strict_body(handler)
        return self.strict_about_parameters(handler)

    def strict_about_parameters(self, handler: Handler) -> Handler:
        """The handler, behind a refusal of every parameter when the route takes none, else of those given twice."""
        described = (self.openapi_extra or {}).get("parameters", ())
        if any(each["in"] == "query" for each in described):
            return handler  # it reads its query itself
        return _behind(refuse_repetitions if self.dependant.query_params else refuse_parameters, handler)


def _with_strict_body(handler: Handler) -> Handler:
    async def strictly(request: Request) -> Response:
        strict = StrictRequest(request.scope, request.receive)
        if await read_body(strict):
            require_json(strict)
            await strict.json()
        return await handler(strict)

    return strictly


def _behind(refuse: Callable[[Scope], None], handler: Handler) -> Handler:
    async def strictly(request: Request) -> Response:
        refuse(request.scope)
        return await handler(request)

    return strictly


async def read_body(request: Request) -> bytes:
    """The whole body. Raises MalformedRequest when the client leaves before its end, PayloadTooLarge over the bound."""
    try:
        return await request.body()
    except ClientDisconnect:
        raise MalformedRequest(detail="the client left before the end of its body") from None


def require_json(request: Request) -> None:
    """Raises UnsupportedMediaType unless the body is said to be JSON."""
    # RFC 9110 section 8.3.1: parameters follow a semicolon; JSON has none that matters (RFC 8259 section 11).
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise UnsupportedMediaType
