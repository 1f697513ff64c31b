"""``/v1/roles`` and ``/v1/permissions``: the tenant's roles, and what they can hold."""

from typing import Annotated

from fastapi import Query, Request, Response

from gateway.api.answers import answered, created, read, read_view
from gateway.api.grantors import grantor_of
from gateway.api.pages import ListCursors, ListQuery, Page, complete_page
from gateway.api.path_ids import RoleInPath
from gateway.authorization.guards import requires
from gateway.request.context import principal_of
from gateway.request.entity_tags import Tagged, representation_of
from gateway.request.origin import origin_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.identifiers import RoleId, TenantId
from tenants.roles.errors import BuiltInRoleFixed, ExceedsOwn, RoleInUse, RoleNameTaken, TooManyRoles
from tenants.roles.permissions import Permission, built_in_holders
from tenants.roles.schemas import ChangeRole, CreateRole, PermissionResponse, RoleResponse

_PATH = "/v1/roles"
_ONE = f"{_PATH}/{{role_id}}"
_REPRESENTATION = representation_of(RoleResponse)

router = ManagementRouter(tags=["roles"])


@router.post(_PATH, status_code=201, response_model=RoleResponse)
@terms(requires("roles:create"), tagged=True, errors=(ExceedsOwn, RoleNameTaken, TooManyRoles))
async def create_role(request: Request, body: CreateRole) -> Response:
    """Create a role. It holds the permissions that it names and those of the roles that it inherits from."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        role = await services.features.roles.create(
            session, tenant.id, grantor_of(request), body, origin=origin_of(request)
        )
    response, tag = RoleResponse.of(role), services.tags.of(_tagged(role.id, tenant.id), role.version)
    return created(response, f"{_PATH}/{response.id}", tag)


@router.get(_PATH, response_model=Page[RoleResponse])
@terms(requires("roles:read"))
async def list_roles(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """List the tenant's roles. The newest comes first; the built-in ones are the oldest."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    cursors = ListCursors(services.settings.secret, "roles", tenant.id, query)
    async with services.database.control(tenant) as session:
        rows = await services.features.roles.page(session, tenant.id, cursors.keyset())
    return answered(cursors.page(rows, RoleResponse.of))


@router.get(_ONE, response_model=RoleResponse)
@terms(requires("roles:read"), tagged=True)
async def read_role(request: Request, role_id: RoleInPath) -> Response:
    """Read one role."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        role = await services.features.roles.read(session, tenant.id, role_id)
    response, tagged = RoleResponse.of(role), _tagged(role.id, tenant.id)
    if response.built_in:  # it changes with the deployment's permissions
        return read_view(request, response, tagged)
    return read(request, response, tagged, role.version)


@router.patch(_ONE, response_model=RoleResponse)
@terms(requires("roles:update"), tagged=True, errors=(ExceedsOwn, BuiltInRoleFixed), ends_rights=True)
async def update_role(request: Request, role_id: RoleInPath, body: ChangeRole) -> Response:
    """Change a role. It takes effect for all its members and keys at once."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    tagged = _tagged(role_id, tenant.id)
    expected = services.tags.expected(tagged, request.scope)
    async with services.database.control(tenant) as session:
        role = await services.features.roles.change(
            session, tenant.id, grantor_of(request), role_id, body, origin=origin_of(request), versions=expected
        )
    return answered(RoleResponse.of(role), services.tags.of(tagged, role.version))


@router.delete(_ONE, status_code=204)
@terms(requires("roles:delete"), tagged=True, errors=(ExceedsOwn, BuiltInRoleFixed, RoleInUse), ends_rights=True)
async def delete_role(request: Request, role_id: RoleInPath) -> Response:
    """Delete a role that no member, no API key and no other role uses."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    expected = services.tags.expected(_tagged(role_id, tenant.id), request.scope)
    async with services.database.control(tenant) as session:
        await services.features.roles.delete(
            session, tenant.id, grantor_of(request), role_id, origin=origin_of(request), versions=expected
        )
    return Response(status_code=204)


@router.get("/v1/permissions", response_model=Page[PermissionResponse])
@terms(requires("roles:read"))
async def list_permissions(request: Request) -> Response:
    """List all permissions that a role can hold, with those that you have. It is always one page."""
    authorizer, principal = services_of(request).authorizer, principal_of(request.scope)

    def show(permission: Permission) -> PermissionResponse:
        held = authorizer.allows(principal, permission.name)
        return PermissionResponse(name=permission.name, roles=built_in_holders(permission), held=held)

    return answered(complete_page(authorizer.permissions, show))


def _tagged(role: RoleId, tenant: TenantId) -> Tagged:
    return Tagged(_REPRESENTATION, role.bytes, tenant.bytes)
