"""``/v1/scim``: the tenant's admins say what SCIM gives: the role of new users, and the roles of groups."""

from typing import Annotated

from fastapi import Query, Request, Response

from gateway.api.answers import answered, read
from gateway.api.grantors import grantor_of
from gateway.api.pages import ListCursors, ListQuery, Page
from gateway.api.path_ids import ScimGroupInPath
from gateway.api.scim_answers import base_of
from gateway.authorization.guards import requires
from gateway.request.context import principal_of
from gateway.request.entity_tags import Tagged, representation_of
from gateway.request.origin import origin_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.identifiers import ScimGroupId, TenantId
from tenants.roles.errors import ExceedsOwn
from tenants.scim.management import ChangeGroupRole, ChangeScimSettings, GroupRoleResponse, ScimSettingsResponse

_SETTINGS = "/v1/scim/settings"
_GROUPS = "/v1/scim/groups"
_GROUP = f"{_GROUPS}/{{group_id}}"
_OF_SETTINGS, _OF_GROUPS = representation_of(ScimSettingsResponse), representation_of(GroupRoleResponse)

router = ManagementRouter(tags=["scim"])


@router.get(_SETTINGS, response_model=ScimSettingsResponse)
@terms(requires("scim:manage"), tagged=True)
async def read_scim_settings(request: Request) -> Response:
    """Read the settings of SCIM, with the URL to enter at the identity provider."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        found = await services.features.directory.read(session, tenant.id)
    shown = ScimSettingsResponse(base_url=base_of(request), default_role=found.scim_default_role)
    return read(request, shown, _settings_tagged(tenant.id), found.version)


@router.patch(_SETTINGS, response_model=ScimSettingsResponse)
@terms(requires("scim:manage"), tagged=True, errors=(ExceedsOwn,), ends_rights=True)
async def update_scim_settings(request: Request, body: ChangeScimSettings) -> Response:
    """Change the role of users that SCIM creates from now on. Only to a role that you hold."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    tagged = _settings_tagged(tenant.id)
    expected = services.tags.expected(tagged, request.scope)
    async with services.database.control(tenant) as session:
        found = await services.features.people.scim_groups.set_default_role(
            session, tenant.id, grantor_of(request), body.default_role, origin=origin_of(request), versions=expected
        )
    shown = ScimSettingsResponse(base_url=base_of(request), default_role=found.scim_default_role)
    return answered(shown, services.tags.of(tagged, found.version))


@router.get(_GROUPS, response_model=Page[GroupRoleResponse])
@terms(requires("scim:manage"))
async def list_group_roles(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """List the groups of the identity provider with the roles that they give."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    cursors = ListCursors(services.settings.secret, "scim groups", tenant.id, query)
    async with services.database.control(tenant) as session:
        rows = await services.features.people.scim_groups.keyset_page(session, tenant.id, cursors.keyset())
    return answered(cursors.page(rows, GroupRoleResponse.of))


@router.get(_GROUP, response_model=GroupRoleResponse)
@terms(requires("scim:manage"), tagged=True)
async def read_group_role(request: Request, group_id: ScimGroupInPath) -> Response:
    """Read the role that a group gives."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        row = (await services.features.people.scim_groups.read(session, tenant.id, group_id, members=False)).row
    return read(request, GroupRoleResponse.of(row), _group_tagged(group_id, tenant.id), row.version)


@router.patch(_GROUP, response_model=GroupRoleResponse)
@terms(requires("scim:manage"), tagged=True, errors=(ExceedsOwn,), ends_rights=True)
async def update_group_role(request: Request, group_id: ScimGroupInPath, body: ChangeGroupRole) -> Response:
    """Map a group to a role, which its members have while they are in it; null takes the role away.

    You must hold the role, and the one before. A role that manages owners cannot be mapped.
    """
    services, tenant = services_of(request), principal_of(request.scope).tenant
    tagged = _group_tagged(group_id, tenant.id)
    expected = services.tags.expected(tagged, request.scope)
    async with services.database.control(tenant) as session:
        row = await services.features.people.scim_groups.map(
            session, tenant.id, grantor_of(request), group_id, body.role, origin=origin_of(request), versions=expected
        )
    return answered(GroupRoleResponse.of(row), services.tags.of(tagged, row.version))


def _settings_tagged(tenant: TenantId) -> Tagged:
    return Tagged(_OF_SETTINGS, b"", tenant.bytes)


def _group_tagged(group: ScimGroupId, tenant: TenantId) -> Tagged:
    return Tagged(_OF_GROUPS, group.bytes, tenant.bytes)
