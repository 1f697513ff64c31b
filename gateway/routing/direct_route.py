"""The route class of endpoints that take the request and perhaps a body, and return a response.

FastAPI injects and renders for any endpoint that there may be, which took longer than fetching a row. These need
neither. What they say about themselves in the OpenAPI document is FastAPI's, as everywhere.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.problems.validation import validation_failed
from gateway.routing.strict_route import Handler, StrictRequest, StrictRoute, read_body, require_json

_MISSING = ({"type": "missing", "loc": ("body",)},)


class DirectRoute(StrictRoute):
    """Asks its guards, reads its body strictly, calls its endpoint. Every dependency must be a guard."""

    def get_route_handler(self) -> Handler:
        """What FastAPI calls once it has found the route."""
        endpoint = cast("Callable[..., Coroutine[Any, Any, Response]]", self.endpoint)
        guards = cast("Sequence[Handler]", [each.dependency for each in self.dependencies])
        model = cast("type[BaseModel] | None", self.body_field and self.body_field.field_info.annotation)

        async def handle(request: Request) -> Response:
            for guard in guards:  # before the body: of who may not send one, none is read
                await guard(request)
            if model is None:
                return await endpoint(request)
            return await endpoint(request, await _read(request, model))

        return self.strict_about_parameters(handle)

    def answering(self, app: FastAPI) -> ASGIApp:
        """The route alone, for whoever has found it by itself and put ``path_params`` into the scope."""
        handle = self.get_route_handler()

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            scope["app"] = app
            response = await handle(Request(scope, receive))
            await response(scope, receive, send)

        return answer


async def _read(request: Request, model: type[BaseModel]) -> BaseModel:
    strict = StrictRequest(request.scope, request.receive)
    document = None
    if await read_body(strict):
        require_json(strict)
        document = await strict.json()
    if document is None:
        raise validation_failed(_MISSING)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        findings = error.errors(include_url=False, include_input=False)
        raise validation_failed([{**each, "loc": ("body", *each["loc"])} for each in findings]) from None
