"""``/v1/invitations``, and ``/v1/auth/invitations/…`` for those who were invited."""

from typing import Annotated

from fastapi import Query, Request, Response

from billing.plans.errors import TooManyMembers
from gateway.api.answers import answered, created, read
from gateway.api.grantors import grantor_of
from gateway.api.pages import ListCursors, ListQuery, Page
from gateway.api.path_ids import InvitationInPath
from gateway.authorization.guards import public, requires
from gateway.request.context import principal_of
from gateway.request.entity_tags import Tagged, representation_of
from gateway.request.origin import origin_of
from gateway.request.route import Quota
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.directory.errors import TenantSuspended
from tenants.identifiers import InvitationId, TenantId
from tenants.invitations.errors import (
    AlreadyInvited,
    AlreadyMember,
    InvitationEnded,
    InvitationVoid,
    InvitedTooOften,
    RoleDeleted,
)
from tenants.invitations.schemas import (
    AcceptInvitation,
    CreateInvitation,
    InvitationAccepted,
    InvitationResponse,
    RenewInvitation,
)
from tenants.links.errors import LinkInvalid
from tenants.roles.errors import ExceedsOwn

_PATH = "/v1/invitations"
_ONE = f"{_PATH}/{{invitation_id}}"
_REPRESENTATION = representation_of(InvitationResponse)
_LINKS = Quota(120, 60)  # a minute from one address: accepting costs a password's hash, renewing a message

router = ManagementRouter(tags=["invitations"])


@router.post(_PATH, status_code=201, response_model=InvitationResponse)
@terms(
    requires("invitations:create"),
    tagged=True,
    errors=(ExceedsOwn, AlreadyMember, AlreadyInvited, InvitedTooOften, TooManyMembers),
)
async def create_invitation(request: Request, body: CreateInvitation) -> Response:
    """Invite a person by e-mail. The invitation can be accepted for 7 days; each link in a message works for an hour.

    The response is the same whether the address has an account or not. For the plan, a pending one counts as a member.
    """
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        made = await services.features.people.invitations.invite(
            session, tenant.id, grantor_of(request), body, origin=origin_of(request)
        )
    response, tag = InvitationResponse.of(made), services.tags.of(_tagged(made.id, tenant.id), made.shown_version)
    return created(response, f"{_PATH}/{response.id}", tag)


@router.get(_PATH, response_model=Page[InvitationResponse])
@terms(requires("invitations:read"))
async def list_invitations(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """List the tenant's invitations, ended ones included. The newest comes first."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    cursors = ListCursors(services.settings.secret, "invitations", tenant.id, query)
    async with services.database.control(tenant) as session:
        rows = await services.features.people.invitations.page(session, tenant.id, cursors.keyset())
    return answered(cursors.page(rows, InvitationResponse.of))


@router.get(_ONE, response_model=InvitationResponse)
@terms(requires("invitations:read"), tagged=True)
async def read_invitation(request: Request, invitation_id: InvitationInPath) -> Response:
    """Read one invitation."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        found = await services.features.people.invitations.read(session, tenant.id, invitation_id)
    return read(request, InvitationResponse.of(found), _tagged(found.id, tenant.id), found.shown_version)


@router.post(f"{_ONE}/resend", response_model=InvitationResponse)
@terms(requires("invitations:create"), errors=(ExceedsOwn, InvitationEnded, InvitedTooOften))
async def resend_invitation(request: Request, invitation_id: InvitationInPath) -> Response:
    """Send a pending invitation again. The link before it ends, you become its inviter, and the 7 days start again."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        sent = await services.features.people.invitations.resend(
            session, tenant.id, grantor_of(request), invitation_id, origin=origin_of(request)
        )
    return answered(InvitationResponse.of(sent), services.tags.of(_tagged(sent.id, tenant.id), sent.shown_version))


@router.delete(_ONE, status_code=204)
@terms(requires("invitations:delete"), tagged=True, errors=(ExceedsOwn, InvitationEnded))
async def revoke_invitation(request: Request, invitation_id: InvitationInPath) -> Response:
    """Revoke an invitation and its link. It stays in the list as revoked."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    expected = services.tags.expected(_tagged(invitation_id, tenant.id), request.scope)
    async with services.database.control(tenant) as session:
        await services.features.people.invitations.revoke(
            session, tenant.id, grantor_of(request), invitation_id, origin=origin_of(request), versions=expected
        )
    return Response(status_code=204)


@router.post("/v1/auth/invitations/accept", response_model=InvitationAccepted)
@terms(
    public,
    per_source=_LINKS,
    errors=(LinkInvalid, TenantSuspended, TooManyMembers, InvitationVoid, RoleDeleted, AlreadyMember),
)
async def accept_invitation(request: Request, body: AcceptInvitation) -> Response:
    """Become a member of the tenant that sent the link. A new person chooses a password; an account keeps its own.

    Nothing signs in: use `POST /v1/auth/login` next. Without the password that a new person needs, the response is 422
    at `/password`, and the link can be used again. Every link that cannot be used has the same response.
    """
    acceptance = services_of(request).features.people.acceptance
    return answered(await acceptance.accept(body.token, body.name, body.password, origin=origin_of(request)))


@router.post("/v1/auth/invitations/renew", status_code=202, response_class=Response)
@terms(public, per_source=_LINKS)
async def renew_invitation(request: Request, body: RenewInvitation) -> Response:
    """Ask for a new link in place of one that has expired. It is sent to the invited address.

    The response is the same whether the link can be exchanged or not.
    """
    await services_of(request).features.people.acceptance.renew(body.token, origin=origin_of(request))
    return Response(status_code=202)


def _tagged(invitation: InvitationId, tenant: TenantId) -> Tagged:
    return Tagged(_REPRESENTATION, invitation.bytes, tenant.bytes)
