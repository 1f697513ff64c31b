"""How management endpoints answer: JSON built once, an ETag over it, and where a new object is found."""

import hashlib

from fastapi import Request, Response
from pydantic import BaseModel

from gateway.api.conditions import if_match, if_none_match

_MEDIA_TYPE = "application/json"
_NOT_MODIFIED = 304
_NO_STORE = {"cache-control": "no-store"}


def read(request: Request, shown: BaseModel) -> Response:
    """200 with an ETag over the content, or 304 when the caller has it already (RFC 9110 section 13.1.2)."""
    body = _body(shown)
    tag = _tag(body)
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    if if_none_match(request, tag):
        return Response(status_code=_NOT_MODIFIED, headers=headers)
    return Response(body, headers=headers, media_type=_MEDIA_TYPE)


def as_seen(request: Request, shown: BaseModel) -> bool:
    """Whether If-Match, if it is there, names what stands now (RFC 9110 section 13.1.1)."""
    return if_match(request, _tag(_body(shown)))


def created(shown: BaseModel, location: str) -> Response:
    """201 with Location. Never stored by a cache: it may hold a secret."""
    return Response(_body(shown), 201, {"location": location, **_NO_STORE}, _MEDIA_TYPE)


def answered(shown: BaseModel) -> Response:
    """200, never stored by a cache."""
    return Response(_body(shown), headers=_NO_STORE, media_type=_MEDIA_TYPE)


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _body(shown: BaseModel) -> bytes:
    return shown.model_dump_json(by_alias=True).encode()
