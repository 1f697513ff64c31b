"""``/scim/v2/ServiceProviderConfig``, ``/ResourceTypes`` and ``/Schemas``: what an identity provider can do here."""

from typing import Annotated, Any

from fastapi import Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.scim_answers import ROOT, answered, base_of, read
from gateway.authorization.guards import requires
from gateway.request.entity_tags import Tagged
from gateway.routing.api_router import ScimRouter
from gateway.routing.terms import terms
from tenants.errors import NotFound
from tenants.scim.discovery import resource_types, schemas, service_provider_config
from tenants.scim.resources import list_response
from tenants.scim.schemas import LIST_MESSAGE, USER_SCHEMA

_REPRESENTATION = b"scimdisc"  # of the fixed length of the others
_VERSION = 1  # of what changes with a release only, whose content is part of the tag

router = ScimRouter(tags=["scim"])


class ScimDescription(BaseModel):
    """Described in RFC 7643 sections 5 to 7."""

    model_config = ConfigDict(extra="allow")

    schemas: Annotated[list[str], Field(examples=[["urn:ietf:params:scim:schemas:core:2.0:Schema"]])]


class ScimDescriptionList(ScimDescription):
    """All descriptions of one kind."""

    schemas: Annotated[list[str], Field(examples=[[LIST_MESSAGE]])]
    total_results: Annotated[int, Field(alias="totalResults", examples=[1])]
    resources: Annotated[list[ScimDescription], Field(alias="Resources")]


@router.get(f"{ROOT}/ServiceProviderConfig", response_model=ScimDescription)
@terms(requires("scim:manage"))
async def read_scim_config(request: Request) -> Response:
    """Read which features of SCIM are supported."""
    return answered(service_provider_config(base_of(request)))


@router.get(f"{ROOT}/ResourceTypes", response_model=ScimDescriptionList)
@terms(requires("scim:manage"))
async def list_scim_resource_types(request: Request) -> Response:
    """List the types of resources: users and groups."""
    return _listed(resource_types(base_of(request)))


@router.get(f"{ROOT}/ResourceTypes/{{name}}", response_model=ScimDescription)
@terms(requires("scim:manage"), tagged=True)
async def read_scim_resource_type(
    request: Request, name: Annotated[str, Path(description="User or Group.", examples=["User"])]
) -> Response:
    """Read one type of resources."""
    return _one(request, resource_types(base_of(request)), name)


@router.get(f"{ROOT}/Schemas", response_model=ScimDescriptionList)
@terms(requires("scim:manage"))
async def list_scim_schemas(request: Request) -> Response:
    """List the schemas of users and groups, with all attributes."""
    return _listed(schemas(base_of(request)))


@router.get(f"{ROOT}/Schemas/{{urn}}", response_model=ScimDescription)
@terms(requires("scim:manage"), tagged=True)
async def read_scim_schema(
    request: Request, urn: Annotated[str, Path(description="The URN of the schema.", examples=[USER_SCHEMA])]
) -> Response:
    """Read one schema."""
    return _one(request, schemas(base_of(request)), urn)


def _listed(found: list[dict[str, Any]]) -> Response:
    return answered(list_response(found, len(found)))


def _one(request: Request, found: list[dict[str, Any]], wanted: str) -> Response:
    for each in found:
        if each["id"] == wanted:
            return read(request, each, Tagged(_REPRESENTATION, repr(each).encode()), _VERSION)
    raise NotFound
