"""``/v1/members``: the people in the tenant."""

from typing import Annotated

from fastapi import Query, Request, Response

from gateway.api.answers import answered, read
from gateway.api.grantors import grantor_of
from gateway.api.pages import ListCursors, ListQuery, Page
from gateway.api.path_ids import UserInPath
from gateway.authorization.guards import requires
from gateway.request.context import principal_of
from gateway.request.entity_tags import Tagged, representation_of
from gateway.request.origin import origin_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.identifiers import TenantId, UserId
from tenants.members.errors import LastOwner
from tenants.members.schemas import ChangeMember, MemberResponse
from tenants.roles.errors import ExceedsOwn

_PATH = "/v1/members"
_ONE = f"{_PATH}/{{user_id}}"
_REPRESENTATION = representation_of(MemberResponse)

router = ManagementRouter(tags=["members"])


@router.get(_PATH, response_model=Page[MemberResponse])
@terms(requires("members:read"))
async def list_members(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """List the tenant's members. They are ordered by the creation of their accounts, the newest first."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    cursors = ListCursors(services.settings.secret, "members", tenant.id, query)
    async with services.database.control(tenant) as session:
        rows = await services.features.people.members.page(session, tenant.id, cursors.keyset())
    return answered(cursors.page(rows, MemberResponse.of))


@router.get(_ONE, response_model=MemberResponse)
@terms(requires("members:read"), tagged=True)
async def read_member(request: Request, user_id: UserInPath) -> Response:
    """Read one member."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        member = await services.features.people.members.read(session, tenant.id, user_id)
    return read(request, MemberResponse.of(member), _tagged(user_id, tenant.id), member.version)


@router.patch(_ONE, response_model=MemberResponse)
@terms(requires("members:update"), tagged=True, errors=(ExceedsOwn, LastOwner), ends_rights=True)
async def update_member(request: Request, user_id: UserInPath, body: ChangeMember) -> Response:
    """Replace a member's roles, disable or enable the member in this tenant. Who loses rights has to sign in again."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    tagged = _tagged(user_id, tenant.id)
    expected = services.tags.expected(tagged, request.scope)
    async with services.database.control(tenant) as session:
        member = await services.features.people.members.change(
            session,
            tenant.id,
            grantor_of(request),
            user_id,
            **body.model_dump(exclude_unset=True),
            origin=origin_of(request),
            versions=expected,
        )
    return answered(MemberResponse.of(member), services.tags.of(tagged, member.version))


@router.delete(_ONE, status_code=204)
@terms(
    requires("members:remove", own="user_id"),
    tagged=True,
    errors=(ExceedsOwn, LastOwner),
    ends_rights=True,
)
async def remove_member(request: Request, user_id: UserInPath) -> Response:
    """Remove a person from the tenant, or leave it. The person's sessions and API keys end; their account remains.

    Keys are handed over first if the tenant has chosen that (`member_keys`).
    """
    services, tenant = services_of(request), principal_of(request.scope).tenant
    expected = services.tags.expected(_tagged(user_id, tenant.id), request.scope)
    async with services.database.control(tenant) as session:
        await services.features.people.members.remove(
            session, tenant.id, grantor_of(request), user_id, origin=origin_of(request), versions=expected
        )
    return Response(status_code=204)


def _tagged(user: UserId, tenant: TenantId) -> Tagged:
    return Tagged(_REPRESENTATION, user.bytes, tenant.bytes)
