"""``/scim/v2/Groups``: the tenant's identity provider keeps groups of its members (RFC 7644)."""

from typing import Annotated, Any

from fastapi import Body, Query, Request, Response

from gateway.api.path_ids import ScimGroupInPath
from gateway.api.scim_answers import ROOT, ScimListQuery, ScimQuery, answered, base_of, created, read
from gateway.authorization.guards import requires
from gateway.problems.scim import SCIM_MEDIA_TYPE
from gateway.request.context import principal_of
from gateway.request.entity_tags import Tagged, representation_of
from gateway.request.origin import origin_of
from gateway.request.route import MOST_VALUES
from gateway.routing.api_router import ScimRouter
from gateway.routing.bounds import KIB
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.identifiers import ScimGroupId
from tenants.scim.errors import (
    GroupNameTaken,
    InvalidFilter,
    InvalidPath,
    NoSuchUser,
    NoTarget,
    ReadOnlyAttribute,
    TooManyGroupMembers,
)
from tenants.scim.groups import ProvisionedGroup
from tenants.scim.models import ScimGroupRow
from tenants.scim.resources import group_resource, list_response
from tenants.scim.schemas import ScimGroup, ScimGroupList, ScimGroupRequest, ScimPatch

_PATH = f"{ROOT}/Groups"
_ONE = f"{_PATH}/{{group_id}}"
_REPRESENTATION = representation_of(ScimGroup)
_BYTES = 512 * KIB  # 1,000 members with their names and URLs
_Group = Annotated[ScimGroupRequest, Body(media_type=SCIM_MEDIA_TYPE)]
_Patch = Annotated[ScimPatch, Body(media_type=SCIM_MEDIA_TYPE)]

router = ScimRouter(tags=["scim"])


@router.post(_PATH, status_code=201, response_model=ScimGroup)
@terms(
    requires("scim:manage"),
    body_limit=_BYTES,
    value_limit=MOST_VALUES,
    errors=(GroupNameTaken, NoSuchUser, TooManyGroupMembers),
)
async def create_scim_group(request: Request, body: _Group) -> Response:
    """Create a group. It gives its members a role once an admin has mapped it to one."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        group = await services.features.people.scim_groups.create(session, tenant.id, body, origin=origin_of(request))
    return created(_shown(request, group), _tag(request, group.row))


@router.get(_PATH, response_model=ScimGroupList)
@terms(requires("scim:manage"), errors=(InvalidFilter,))
async def list_scim_groups(request: Request, query: Annotated[ScimListQuery, Query()]) -> Response:
    """List groups. A filter compares `displayName`, `externalId`, `id` or `members`; a page has at most 5,000 members.

    Leave members out with `excludedAttributes=members` where they are not needed.
    """
    services, tenant = services_of(request), principal_of(request.scope).tenant
    shape = query.shape
    async with services.database.control(tenant) as session:
        total, groups = await services.features.people.scim_groups.page(
            session, tenant.id, query.filter, query.offset, query.limit, members=shape.has("members")
        )
    resources = [shape.cut(_shown(request, each)) for each in groups]
    return answered(list_response(resources, total, query.offset + 1))


@router.get(_ONE, response_model=ScimGroup)
@terms(requires("scim:manage"), tagged=True)
async def read_scim_group(
    request: Request, group_id: ScimGroupInPath, query: Annotated[ScimQuery, Query()]
) -> Response:
    """Read a group."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    shape = query.shape
    async with services.database.control(tenant) as session:
        group = await services.features.people.scim_groups.read(
            session, tenant.id, group_id, members=shape.has("members")
        )
    return read(request, shape.cut(_shown(request, group)), _tagged(request, group_id), group.row.version)


@router.put(_ONE, response_model=ScimGroup)
@terms(
    requires("scim:manage"),
    tagged=True,
    body_limit=_BYTES,
    value_limit=MOST_VALUES,
    errors=(GroupNameTaken, NoSuchUser, TooManyGroupMembers),
    ends_rights=True,
)
async def replace_scim_group(request: Request, group_id: ScimGroupInPath, body: _Group) -> Response:
    """Replace a group's attributes, and its members where the body has `members`."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    expected = services.tags.expected(_tagged(request, group_id), request.scope)
    async with services.database.control(tenant) as session:
        group = await services.features.people.scim_groups.replace(
            session, tenant.id, group_id, body, origin=origin_of(request), versions=expected
        )
    return answered(_shown(request, group), _tag(request, group.row))


@router.patch(_ONE, status_code=204)
@terms(
    requires("scim:manage"),
    tagged=True,
    body_limit=_BYTES,
    value_limit=MOST_VALUES,
    errors=(InvalidPath, NoTarget, ReadOnlyAttribute, GroupNameTaken, NoSuchUser, TooManyGroupMembers),
    ends_rights=True,
)
async def update_scim_group(request: Request, group_id: ScimGroupInPath, body: _Patch) -> Response:
    """Rename a group, add and remove members. A person whose roles change by it has to sign in again."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    expected = services.tags.expected(_tagged(request, group_id), request.scope)
    async with services.database.control(tenant) as session:
        row = await services.features.people.scim_groups.patch(
            session, tenant.id, group_id, body, origin=origin_of(request), versions=expected
        )
    return Response(status_code=204, headers={"etag": _tag(request, row)})


@router.delete(_ONE, status_code=204)
@terms(requires("scim:manage"), tagged=True, ends_rights=True)
async def delete_scim_group(request: Request, group_id: ScimGroupInPath) -> Response:
    """Delete a group. Its members lose the role that it gave them."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    expected = services.tags.expected(_tagged(request, group_id), request.scope)
    async with services.database.control(tenant) as session:
        await services.features.people.scim_groups.remove(
            session, tenant.id, group_id, origin=origin_of(request), versions=expected
        )
    return Response(status_code=204)


def _shown(request: Request, group: ProvisionedGroup) -> dict[str, Any]:
    return group_resource(group, base_of(request), _tag(request, group.row))


def _tag(request: Request, row: ScimGroupRow) -> str:
    return services_of(request).tags.of(_tagged(request, row.id), row.version)


def _tagged(request: Request, group: ScimGroupId) -> Tagged:
    return Tagged(_REPRESENTATION, group.bytes, principal_of(request.scope).tenant.id.bytes)
