"""``/scim/v2/Users``: the tenant's identity provider keeps its members (RFC 7644)."""

from typing import Annotated, Any

from fastapi import Body, Query, Request, Response

from billing.plans.errors import TooManyMembers
from gateway.api.path_ids import UserInPath
from gateway.api.scim_answers import ROOT, ScimListQuery, ScimQuery, answered, base_of, created, read
from gateway.authorization.guards import requires
from gateway.problems.scim import SCIM_MEDIA_TYPE
from gateway.request.context import principal_of
from gateway.request.entity_tags import Tagged, representation_of
from gateway.request.origin import origin_of
from gateway.routing.api_router import ScimRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.identifiers import UserId
from tenants.members.errors import LastOwner
from tenants.scim.errors import (
    AlreadyProvisioned,
    InvalidFilter,
    InvalidPath,
    NoAddress,
    NoTarget,
    ReadOnlyAttribute,
    UserNameTaken,
)
from tenants.scim.repository import ProvisionedUser
from tenants.scim.resources import list_response, user_resource
from tenants.scim.schemas import ScimPatch, ScimUser, ScimUserList, ScimUserRequest

_PATH = f"{ROOT}/Users"
_ONE = f"{_PATH}/{{user_id}}"
_REPRESENTATION = representation_of(ScimUser)
_User = Annotated[ScimUserRequest, Body(media_type=SCIM_MEDIA_TYPE)]
_Patch = Annotated[ScimPatch, Body(media_type=SCIM_MEDIA_TYPE)]

router = ScimRouter(tags=["scim"])


@router.post(_PATH, status_code=201, response_model=ScimUser)
@terms(
    requires("scim:manage"),
    errors=(UserNameTaken, AlreadyProvisioned, LastOwner, NoAddress, TooManyMembers),
    ends_rights=True,
)
async def create_scim_user(request: Request, body: _User) -> Response:
    """Create a user. The person with the e-mail address becomes a member; an account is created if there is none."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        user = await services.features.people.scim_users.create(session, tenant.id, body, origin=origin_of(request))
    return created(_shown(request, user), _tag(request, user))


@router.get(_PATH, response_model=ScimUserList)
@terms(requires("scim:manage"), errors=(InvalidFilter,))
async def list_scim_users(request: Request, query: Annotated[ScimListQuery, Query()]) -> Response:
    """List users that were created with SCIM. A filter compares `userName`, `externalId`, `id` or `emails.value`."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        total, users = await services.features.people.scim_users.page(
            session, tenant.id, query.filter, query.offset, query.limit
        )
    resources = [query.shape.cut(_shown(request, each)) for each in users]
    return answered(list_response(resources, total, query.offset + 1))


@router.get(_ONE, response_model=ScimUser)
@terms(requires("scim:manage"), tagged=True)
async def read_scim_user(request: Request, user_id: UserInPath, query: Annotated[ScimQuery, Query()]) -> Response:
    """Read a user that was created with SCIM."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        user = await services.features.people.scim_users.read(session, tenant.id, user_id)
    return read(request, query.shape.cut(_shown(request, user)), _tagged(request, user_id), user.version)


@router.put(_ONE, response_model=ScimUser)
@terms(requires("scim:manage"), tagged=True, errors=(UserNameTaken, LastOwner), ends_rights=True)
async def replace_scim_user(request: Request, user_id: UserInPath, body: _User) -> Response:
    """Replace a user's attributes. The account, its e-mail address and its password never change."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    expected = services.tags.expected(_tagged(request, user_id), request.scope)
    async with services.database.control(tenant) as session:
        user = await services.features.people.scim_users.replace(
            session, tenant.id, user_id, body, origin=origin_of(request), versions=expected
        )
    return answered(_shown(request, user), _tag(request, user))


@router.patch(_ONE, response_model=ScimUser)
@terms(
    requires("scim:manage"),
    tagged=True,
    errors=(InvalidPath, NoTarget, ReadOnlyAttribute, UserNameTaken, LastOwner),
    ends_rights=True,
)
async def update_scim_user(request: Request, user_id: UserInPath, body: _Patch) -> Response:
    """Change a user. `active` false disables the person in this tenant, and ends their sessions there."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    expected = services.tags.expected(_tagged(request, user_id), request.scope)
    async with services.database.control(tenant) as session:
        user = await services.features.people.scim_users.patch(
            session, tenant.id, user_id, body, origin=origin_of(request), versions=expected
        )
    return answered(_shown(request, user), _tag(request, user))


@router.delete(_ONE, status_code=204)
@terms(requires("scim:manage"), tagged=True, errors=(LastOwner,), ends_rights=True)
async def delete_scim_user(request: Request, user_id: UserInPath) -> Response:
    """Remove a user from the tenant. The account remains, as it may belong to other tenants."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    expected = services.tags.expected(_tagged(request, user_id), request.scope)
    async with services.database.control(tenant) as session:
        await services.features.people.scim_users.remove(
            session, tenant.id, user_id, origin=origin_of(request), versions=expected
        )
    return Response(status_code=204)


def _shown(request: Request, user: ProvisionedUser) -> dict[str, Any]:
    return user_resource(user, base_of(request), _tag(request, user))


def _tag(request: Request, user: ProvisionedUser) -> str:
    return services_of(request).tags.of(_tagged(request, user.row.user_id), user.version)


def _tagged(request: Request, user: UserId) -> Tagged:
    return Tagged(_REPRESENTATION, user.bytes, principal_of(request.scope).tenant.id.bytes)
