"""The route class of every management and data endpoint: its JSON bodies are read strictly (DA1).

``APIRouter(route_class=StrictRoute)``. FastAPI itself reads with the standard library, which takes NaN and repeated
names, and fails with a 500 on lone surrogates and deep nesting.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.params import Form
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from gateway.edge.strict_json import parse
from gateway.errors import MalformedRequest, UnsupportedMediaType

_UNREAD = object()


class StrictRequest(Request):
    """A request whose ``json`` is strict. Raises MalformedRequest where Starlette would raise a decoding error."""

    _document: Any = _UNREAD

    async def json(self) -> Any:
        """The body's document, parsed once."""
        if self._document is _UNREAD:
            self._document = parse(await self.body())
        return self._document


class StrictRoute(APIRoute):
    """Reads and checks the body before FastAPI does, whose error handling hides what was wrong with it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        if self.body_field is None or isinstance(self.body_field.field_info, Form):
            return handler

        async def strictly(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            if await read_body(strict):
                _require_json(strict)
                await strict.json()
            return await handler(strict)

        return strictly


async def read_body(request: Request) -> bytes:
    """The whole body. Raises MalformedRequest when the client leaves before its end, PayloadTooLarge over the bound."""
    try:
        return await request.body()
    except ClientDisconnect:
        raise MalformedRequest(detail="the client left before the end of its body") from None


def _require_json(request: Request) -> None:
    # RFC 9110 section 8.3.1: parameters follow a semicolon; JSON has none that matters (RFC 8259 section 11).
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise UnsupportedMediaType
