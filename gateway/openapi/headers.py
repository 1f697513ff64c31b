"""Header fields in the documents."""

from collections.abc import Iterable
from typing import Any

_STRING = {"type": "string"}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": _STRING}


# Conditional requests: RFC 9110 section 13.1.
_IF_MATCH = _header("If-Match", "Answer 412 unless the object still has this `ETag`.")
_IF_NONE_MATCH = _header("If-None-Match", "Answer 304 when the object still has this `ETag`.")
_CONDITIONS: dict[str, list[dict[str, Any]]] = {
    "get": [_IF_NONE_MATCH],
    "patch": [_IF_MATCH],
    "put": [_IF_MATCH],
    "delete": [_IF_MATCH],
}


def _documented(description: str, example: object, kind: str = "string") -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}, "example": example}


HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": _documented("The id of the request: quote it in reports.", "req_01kc2q7v8ze1rb9m3x5w6t0h4d"),
    "ETag": _documented("The object's version, for `If-Match` and `If-None-Match`.", '"3-5f0c1d9a7e2b486330"'),
    "Location": _documented("Path of the new object.", "/v1/api-keys/key_01kc2q7v8ze1rb9m3x5w6t0h4d"),
    "RateLimit-Policy": _documented(
        "The windows that the request is charged to: quota `q` and length `w` in seconds.",
        '"burst";q=10;w=1, "sustained";q=120;w=60',
    ),
    "RateLimit": _documented(
        "What is left of each window: remaining quota `r`, and seconds `t` until there is more.",
        '"burst";r=9;t=1, "sustained";r=119;t=60',
    ),
    "Retry-After": _documented("Seconds to wait before a retry.", 2, "integer"),
    "WWW-Authenticate": _documented("The scheme of the credential (RFC 6750).", 'Bearer realm="tenantry"'),
}


def condition_parameters(method: str) -> list[dict[str, Any]]:
    """The conditional header fields of a request for one object. ``method`` is in lower case."""
    return _CONDITIONS.get(method, [])


def header_references(names: Iterable[str]) -> dict[str, Any]:
    """The header fields of a response, by reference to ``HEADERS`` in the document's components."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
