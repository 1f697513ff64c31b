"""How errors look in the OpenAPI document of the data endpoints (RFC 9457; ``gateway/problems.py`` makes them)."""

from typing import Any

_ERRORS = {
    "type": "array",
    "description": "With `validation_failed`: what is wrong, and where.",
    "items": {
        "type": "object",
        "required": ["pointer", "code", "message"],
        "properties": {
            "pointer": {"type": "string", "description": "Into the body, or `/query/<parameter>` (RFC 6901)."},
            "code": {"type": "string"},
            "message": {"type": "string"},
        },
    },
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "A page that explains the code."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable, for programs."},
        "request_id": {"type": "string", "description": "Quote it when you ask us."},
        "errors": _ERRORS,
    },
}
_CONTENT = {"application/problem+json": {"schema": _PROBLEM}}

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request was refused; `code` says why.", "content": _CONTENT},
    "5XX": {"description": "We failed, or something that we need did.", "content": _CONTENT},
}
