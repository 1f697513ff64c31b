"""The OpenAPI document as it is true of us: problem documents in place of FastAPI's errors, and who may call what."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import RouteContext, iter_route_contexts

from gateway.problems.documents import MEDIA_TYPE
from gateway.request.route import PUBLIC, Audience
from gateway.routing.routes import cost_of, costs, guard_of

_STRING = {"type": "string"}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457. The page at `type` says what the code means and what to do.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": _STRING,
        "status": {"type": "integer"},
        "detail": _STRING,
        "code": _STRING,
        "request_id": _STRING,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "message"],
                "properties": {"pointer": _STRING, "code": _STRING, "message": _STRING},
            },
        },
    },
}
_ANSWER = {
    "description": "A problem",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, or an access token of a signed-in user.",
    },
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_EITHER: list[dict[str, list[str]]] = [{"bearer": []}, {"api_key": []}]
_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")


class DescribedApi(FastAPI):
    """FastAPI with our document in place of its own. It takes half a second to make, so it is made when asked for."""

    def openapi(self) -> dict[str, Any]:
        """The whole document, remembered."""
        if not self.openapi_schema:
            self.openapi_schema = describe(self)
        return self.openapi_schema


def describe(app: FastAPI) -> dict[str, Any]:
    """The document of the routes that ``app`` has now."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SCHEMES
    schemas = components.setdefault("schemas", {})
    for name in _FASTAPIS_OWN:
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    for route in iter_route_contexts(app.routes):
        for method in route.methods or ():
            operation = document["paths"].get(route.path_format, {}).get(method.lower())
            if operation is not None:
                _complete(operation, route)
    return document


def _complete(operation: dict[str, Any], route: RouteContext) -> None:
    answers = operation["responses"]
    answers.pop("422", None)
    answers["default"] = _ANSWER
    guard = guard_of(route)
    if guard == PUBLIC:
        operation["security"] = []
        return
    operation["security"] = _EITHER
    if guard.audience is Audience.TENANTS:
        operation |= costs(cost_of(route))
    if guard.permission is not None:
        operation["x-permission"] = guard.permission
