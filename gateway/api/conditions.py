"""Conditional requests (RFC 9110 section 13.1): how the document names their headers, and what is read of them."""

from typing import Any

from fastapi import Request

from tenants.crud.etags import tags_of


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string"}}


IF_MATCH = _header("If-Match", "Answer 412 unless the object still has this `ETag`.")
IF_NONE_MATCH = _header("If-None-Match", "Answer 304 when the object still has this `ETag`.")
ETAG: dict[str, Any] = {"ETag": {"description": "The object's version, for `If-Match`.", "schema": {"type": "string"}}}
NOT_MODIFIED: dict[str, Any] = {"description": "Not modified", "headers": ETAG}

# What a route that reads one object adds to its place in the document, and what one adds that changes or deletes it.
TAGGED: dict[str, Any] = {
    "responses": {200: {"headers": ETAG}, 304: NOT_MODIFIED},
    "openapi_extra": {"parameters": [IF_NONE_MATCH]},
}
ONLY_AS_SEEN: dict[str, Any] = {"openapi_extra": {"parameters": [IF_MATCH]}}


def if_match(request: Request, tag: str) -> bool:
    """Whether If-Match lets this through: it is not there, allows anything, or names the tag, by strong comparison."""
    wanted = _sent(request, "if-match")
    if wanted is None or wanted.strip() == "*":
        return True
    return tag in {f'"{opaque}"' for weak, opaque in tags_of(wanted) if not weak}


def if_none_match(request: Request, tag: str) -> bool:
    """Whether If-None-Match names the tag, by weak comparison: then the caller has it already."""
    known = _sent(request, "if-none-match")
    return known is not None and tag in {f'"{opaque}"' for _, opaque in tags_of(known)}


def _sent(request: Request, name: str) -> str | None:
    """A list may stand on several lines (RFC 9110 section 5.3)."""
    lines = request.headers.getlist(name)
    return ", ".join(lines) if lines else None
