"""How SCIM endpoints answer, and the query that their lists take."""

from typing import Annotated, Any

import orjson
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from gateway.problems.scim import SCIM_MEDIA_TYPE
from gateway.request.entity_tags import Tagged
from gateway.services import services_of
from tenants.scim.discovery import MOST_RESULTS
from tenants.scim.paths import MOST_CHARACTERS
from tenants.scim.resources import Shape
from tenants.values.numbers import WHOLE_IN_QUERY

ROOT = "/scim/v2"
_NOT_MODIFIED = 304
_LARGEST = 2**31 - 1
_Names = Annotated[str | None, Field(max_length=MOST_CHARACTERS)]


class ScimQuery(BaseModel):
    """Query of one resource; other parameters are refused."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    attributes: Annotated[_Names, Field(description="Attributes to return, separated by commas.")] = None
    excluded_attributes: Annotated[_Names, Field(description="Attributes to leave out, separated by commas.")] = None

    @property
    def shape(self) -> Shape:
        """What is returned of each resource."""
        return Shape.of(self.attributes, self.excluded_attributes)


class ScimListQuery(ScimQuery):
    """Query of a list of resources."""

    filter: Annotated[
        str | None,
        Field(
            max_length=MOST_CHARACTERS,
            description="Comparisons with `eq`, joined by `and`.",
            examples=['userName eq "ada@example.com"'],
        ),
    ] = None
    start_index: Annotated[
        int, Field(ge=-_LARGEST, le=_LARGEST, description="Position of the first resource, from 1."), WHOLE_IN_QUERY
    ] = 1
    count: Annotated[
        int,
        Field(ge=-_LARGEST, le=_LARGEST, description=f"Resources to return, at most {MOST_RESULTS}."),
        WHOLE_IN_QUERY,
    ] = 100

    @property
    def offset(self) -> int:
        """Resources before the page; a position below 1 is 1 (RFC 7644 section 3.4.2.4)."""
        return max(self.start_index, 1) - 1

    @property
    def limit(self) -> int:
        """Resources on the page; a negative count is 0."""
        return min(max(self.count, 0), MOST_RESULTS)


def base_of(request: Request) -> str:
    """The URL of the SCIM API."""
    return services_of(request).settings.public_url.rstrip("/") + ROOT


def answered(content: dict[str, Any], tag: str | None = None) -> Response:
    """200, never stored by a cache."""
    return _response(content, 200, {} if tag is None else {"etag": tag})


def created(content: dict[str, Any], tag: str) -> Response:
    """201 with Location."""
    return _response(content, 201, {"etag": tag, "location": content["meta"]["location"]})


def read(request: Request, content: dict[str, Any], tagged: Tagged, version: int) -> Response:
    """200 with the ETag of this version, or 304 when the caller has it already."""
    tags = services_of(request).tags
    if tags.unchanged(tagged, version, request.scope):
        return Response(status_code=_NOT_MODIFIED, headers={"etag": tags.of(tagged, version)})
    return answered(content, tags.of(tagged, version))


def _response(content: dict[str, Any], status: int, headers: dict[str, str]) -> Response:
    body = orjson.dumps(content, option=orjson.OPT_UTC_Z)
    return Response(body, status, {"cache-control": "no-store", **headers}, SCIM_MEDIA_TYPE)
