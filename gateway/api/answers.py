"""How management endpoints answer: JSON built once, an ETag for the version in it, Location for a new object."""

import hashlib
from collections.abc import Mapping

from fastapi import Request, Response
from pydantic import BaseModel

from gateway.openapi.published import Published
from gateway.request.entity_tags import Tagged
from gateway.services import services_of

_MEDIA_TYPE = "application/json"
_NOT_MODIFIED = 304
_NO_STORE = {"cache-control": "no-store"}
_PUBLIC = {"cache-control": "no-cache", "vary": "Origin"}  # a shared cache may keep it: see gateway/cors
_PRIVATE = {"cache-control": "private, no-cache"}


def read(request: Request, content: BaseModel, tagged: Tagged, version: int) -> Response:
    """200 with the ETag of this version, or 304 when the caller has it already (RFC 9110 section 13.1.2)."""
    return _conditional(request, _body(content), tagged, version)


def read_view(request: Request, content: BaseModel, tagged: Tagged) -> Response:
    """As ``read``, for what is computed when it is read and has no version: a hash of its content stands in."""
    body = _body(content)
    return _conditional(request, body, tagged, 1 + int.from_bytes(hashlib.blake2b(body, digest_size=4).digest()))


def read_document(request: Request, body: bytes, tagged: Tagged, version: int) -> Response:
    """As ``read``, for JSON that was built already."""
    return _conditional(request, body, tagged, version)


def answered_document(body: bytes) -> Response:
    """As ``answered``, for JSON that was built already."""
    return Response(body, headers=_NO_STORE, media_type=_MEDIA_TYPE)


def read_published(request: Request, document: Published) -> Response:
    """A document that anyone may read and keep, with a tag of its content."""
    return _conditional(request, document.body, Tagged(document.fingerprint, b"openapi"), 1, _PUBLIC)


def created(content: BaseModel, location: str, tag: str | None = None) -> Response:
    """201 with Location. Never stored by a cache: it may hold a secret."""
    return Response(_body(content), 201, {"location": location, **_tag_header(tag), **_NO_STORE}, _MEDIA_TYPE)


def answered(content: BaseModel, tag: str | None = None) -> Response:
    """200, never stored by a cache; with the object's new ETag after a change."""
    return Response(_body(content), headers={**_tag_header(tag), **_NO_STORE}, media_type=_MEDIA_TYPE)


def accepted(content: BaseModel) -> Response:
    """202, never stored by a cache: a job does the rest."""
    return Response(_body(content), 202, _NO_STORE, _MEDIA_TYPE)


def _conditional(
    request: Request, body: bytes, tagged: Tagged, version: int, caching: Mapping[str, str] = _PRIVATE
) -> Response:
    tags = services_of(request).tags
    headers = {"etag": tags.of(tagged, version), **caching}
    if tags.unchanged(tagged, version, request.scope):
        return Response(status_code=_NOT_MODIFIED, headers=headers)
    return Response(body, headers=headers, media_type=_MEDIA_TYPE)


def _tag_header(tag: str | None) -> Mapping[str, str]:
    return {} if tag is None else {"etag": tag}


def _body(content: BaseModel) -> bytes:
    return content.model_dump_json(by_alias=True).encode()
