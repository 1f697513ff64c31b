"""The OpenAPI document: FastAPI's description of paths and models, completed from the terms of each route.

It is generated from the terms and never read back: problem documents in place of FastAPI's errors, who may call what
at which cost, parameters that the endpoint reads itself, and the header fields of conditional requests.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.problems.documents import MEDIA_TYPE
from gateway.request.route import Audience, Terms
from gateway.routing.routes import api_routes

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
_PROBLEM_RESPONSE = {
    "description": "Problem",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, or the access token of a signed-in user.",
    },
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_EITHER: list[dict[str, list[str]]] = [{"bearer": []}, {"api_key": []}]
_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": _STRING}


# Conditional requests: RFC 9110 section 13.1.
_IF_MATCH = _header("If-Match", "Answer 412 unless the object still has this `ETag`.")
_IF_NONE_MATCH = _header("If-None-Match", "Answer 304 when the object still has this `ETag`.")
_ETAG: dict[str, Any] = {"ETag": {"description": "The object's version, for `If-Match`.", "schema": _STRING}}
_CONDITIONS = {"get": [_IF_NONE_MATCH], "patch": [_IF_MATCH], "put": [_IF_MATCH], "delete": [_IF_MATCH]}


class DescribedApi(FastAPI):
    """FastAPI with our document in place of its own. It takes half a second to make, so it is made on request."""

    def __init__(self, **options: Any) -> None:
        # FastAPI's own routes of the document have no terms; gateway/api/docs.py has ours.
        super().__init__(**{"docs_url": None, "redoc_url": None, "openapi_url": None} | options)

    def openapi(self) -> dict[str, Any]:
        """The whole document, cached."""
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
    for context, route in api_routes(app.routes):
        for method in map(str.lower, route.methods or ()):
            operation = document["paths"].get(context.path_format, {}).get(method)
            if operation is not None:
                _complete(operation, method, route.terms)
    return document


def _complete(operation: dict[str, Any], method: str, terms: Terms) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    responses["default"] = _PROBLEM_RESPONSE
    operation |= _access(terms)
    parameters = [*operation.pop("parameters", ()), *(terms.query or ())]
    if terms.tagged:
        parameters += _CONDITIONS.get(method, ())
        _add_tags(responses, method)
    if parameters:
        operation["parameters"] = parameters


def _access(terms: Terms) -> dict[str, Any]:
    """Credentials, and for tenants cost and permission."""
    guard = terms.guard
    found: dict[str, Any] = {"security": [] if guard.audience is Audience.EVERYBODY else _EITHER}
    if guard.audience is Audience.TENANTS:
        found["x-cost"] = terms.cost
    if guard.permission is not None:
        found["x-permission"] = guard.permission
    return found


def _add_tags(responses: dict[str, Any], method: str) -> None:
    for status, response in responses.items():
        if status.startswith("2") and "content" in response:
            response["headers"] = _ETAG | response.get("headers", {})
    if method == "get":
        responses["304"] = {"description": "Not modified", "headers": _ETAG}
