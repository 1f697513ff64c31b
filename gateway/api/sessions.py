"""A person's own sessions and tenants: ``/v1/auth/sessions``, ``/v1/auth/switch`` and ``/v1/auth/tenants``."""

from typing import Annotated

from fastapi import Query, Request, Response

from gateway.api.answers import answered
from gateway.api.clients import client_of
from gateway.api.pages import ListCursors, ListQuery, Page
from gateway.api.path_ids import SessionInPath
from gateway.authorization.guards import requires_person
from gateway.request.context import principal_of
from gateway.request.origin import origin_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.directory.errors import TenantSuspended
from tenants.errors import NotFound
from tenants.sign_in.errors import BoundToTenant, LongerPasswordNeeded
from tenants.sign_in.schemas import Grant, MembershipResponse, MfaChallenge, SessionResponse, SwitchRequest
from tenants.sign_in.second_factor import SecondFactorNeeded

_SESSIONS = "/v1/auth/sessions"

router = ManagementRouter(tags=["sign-in"])


@router.get(_SESSIONS, response_model=Page[SessionResponse])
@terms(requires_person)
async def list_sessions(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """List your own sessions, in all your tenants. After single sign-on, they are those in this tenant."""
    services, caller = services_of(request), principal_of(request.scope)
    cursors = ListCursors(services.settings.secret, f"sessions {caller.id}", caller.tenant.id, query)
    async with services.database.control(caller.tenant) as session:
        rows = await services.features.people.sessions.page(session, caller, cursors.keyset())
    return answered(cursors.page(rows, lambda row: SessionResponse.of(row, caller.sign_in_id)))


@router.delete(f"{_SESSIONS}/{{session_id}}", status_code=204)
@terms(requires_person, ends_rights=True)
async def end_session(request: Request, session_id: SessionInPath) -> Response:
    """End one of your own sessions, with its refresh and access tokens."""
    services, caller = services_of(request), principal_of(request.scope)
    async with services.database.control(caller.tenant) as session:
        await services.features.people.sessions.end(session, caller, session_id, origin=origin_of(request))
    return Response(status_code=204)


@router.get("/v1/auth/tenants", response_model=Page[MembershipResponse])
@terms(requires_person)
async def list_own_tenants(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """List the tenants that you are a member of. After single sign-on, it is this tenant."""
    services, caller = services_of(request), principal_of(request.scope)
    cursors = ListCursors(services.settings.secret, f"own tenants {caller.id}", caller.tenant.id, query)
    async with services.database.control(caller.tenant) as session:
        rows = await services.features.people.sessions.tenants(session, caller, cursors.keyset())
    return answered(cursors.page(rows, lambda row: MembershipResponse.of(row, caller.tenant.id)))


@router.post("/v1/auth/switch", response_model=Grant | MfaChallenge)
@terms(requires_person, errors=(NotFound, TenantSuspended, BoundToTenant, SecondFactorNeeded, LongerPasswordNeeded))
async def switch_tenant(request: Request, body: SwitchRequest) -> Response:
    """Get tokens for another of your tenants. It is a session of its own; the current one goes on.

    Where the tenant requires a second factor and the current session used none, the response is that of a sign-in which
    needs one.
    """
    services, caller = services_of(request), principal_of(request.scope)
    async with services.database.control(caller.tenant) as session:
        begun = await services.features.people.sessions.switch(session, caller, body.tenant, client_of(request))
    return answered(begun)
