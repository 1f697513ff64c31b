"""Conditional requests (RFC 9110 section 13.1) in the OpenAPI document."""

from typing import Any


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string"}}


IF_MATCH = _header("If-Match", "Answer 412 unless the object still has this `ETag`.")
IF_NONE_MATCH = _header("If-None-Match", "Answer 304 when the object still has this `ETag`.")
ETAG: dict[str, Any] = {"ETag": {"description": "The object's version, for `If-Match`.", "schema": {"type": "string"}}}
NOT_MODIFIED: dict[str, Any] = {"description": "Not modified", "headers": ETAG}

# What a route that reads one object adds to its part of the document, and what one adds that changes or deletes it.
TAGGED: dict[str, Any] = {
    "responses": {200: {"headers": ETAG}, 304: NOT_MODIFIED},
    "openapi_extra": {"parameters": [IF_NONE_MATCH]},
}
ONLY_IF_UNCHANGED: dict[str, Any] = {"openapi_extra": {"parameters": [IF_MATCH]}}
CHANGED: dict[str, Any] = {"responses": {200: {"headers": ETAG}}, **ONLY_IF_UNCHANGED}
