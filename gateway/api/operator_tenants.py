"""``/operator/v1/tenants``: the tenants, managed by operators."""

from typing import Annotated

from fastapi import Query, Request, Response

from gateway.api.answers import answered, created, read
from gateway.api.pages import ListCursors, ListQuery, Page
from gateway.api.path_ids import TenantInPath
from gateway.authorization.guards import requires_operator, requires_operator_read
from gateway.request.entity_tags import Tagged, Versions, representation_of
from gateway.request.origin import origin_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.directory.errors import SlugTaken, TenantHasTargets
from tenants.directory.models import Tenant
from tenants.directory.schemas import ChangeStatus, ChangeTenant, TenantResponse
from tenants.identifiers import TenantId
from tenants.onboarding.schemas import CreateTenant, TenantCreated

_PATH = "/operator/v1/tenants"
_ONE = f"{_PATH}/{{tenant_id}}"
_REPRESENTATION = representation_of(TenantResponse)
_NO_REASON = ChangeStatus()  # of a request without a body

router = ManagementRouter(tags=["tenants"])


@router.post(_PATH, status_code=201, response_model=TenantCreated)
@terms(requires_operator, errors=(SlugTaken,))
async def create_tenant(request: Request, body: CreateTenant) -> Response:
    """Create a tenant. It gets a schema, a role and a first API key, whose secret is in this response only.

    The owner becomes a member by accepting an invitation. While mail is off, the invitation is created and not sent.
    """
    services = services_of(request)
    async with services.database.control() as session:
        made = await services.features.onboarding.create(session, body, origin=origin_of(request))
    response = TenantCreated.made(made.tenant, made.key.key, made.key.secret)
    return created(response, f"{_PATH}/{response.id}")


@router.get(_PATH, response_model=Page[TenantResponse])
@terms(requires_operator_read)
async def list_tenants(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """List all tenants. Suspended ones are included; the newest comes first."""
    services = services_of(request)
    cursors = ListCursors(services.settings.secret, "tenants", None, query)
    async with services.database.control() as session:
        rows = await services.features.directory.page(session, cursors.keyset())
    return answered(cursors.page(rows, TenantResponse.of))


@router.get(_ONE, response_model=TenantResponse)
@terms(requires_operator_read, tagged=True)
async def read_tenant(request: Request, tenant_id: TenantInPath) -> Response:
    """Read one tenant."""
    services = services_of(request)
    async with services.database.control() as session:
        tenant = await services.features.directory.read(session, tenant_id)
    return read(request, TenantResponse.of(tenant), _tagged(tenant.id), tenant.version)


@router.patch(_ONE, response_model=TenantResponse)
@terms(requires_operator, tagged=True, ends_rights=True)
async def update_tenant(request: Request, tenant_id: TenantInPath, body: ChangeTenant) -> Response:
    """Move a tenant to another plan."""
    services, expected = services_of(request), _expected(request, tenant_id)
    async with services.database.control() as session:
        tenant = await services.features.directory.change_plan(
            session, tenant_id, body.plan, expected, origin=origin_of(request)
        )
    return _answer(request, tenant)


@router.post(f"{_ONE}/suspend", response_model=TenantResponse)
@terms(requires_operator, tagged=True, ends_rights=True)
async def suspend_tenant(request: Request, tenant_id: TenantInPath, body: ChangeStatus = _NO_REASON) -> Response:
    """Suspend a tenant. All its credentials are refused until it is resumed; its data stays.

    The reason is shown to operators and in the tenant's audit, and to no caller who is refused.
    """
    services = services_of(request)
    async with services.database.control() as session:
        tenant = await services.features.directory.suspend(session, tenant_id, origin=origin_of(request, body.reason))
    return _answer(request, tenant)


@router.post(f"{_ONE}/resume", response_model=TenantResponse)
@terms(requires_operator, tagged=True)
async def resume_tenant(request: Request, tenant_id: TenantInPath, body: ChangeStatus = _NO_REASON) -> Response:
    """Resume a suspended tenant. Its credentials are accepted again."""
    services = services_of(request)
    async with services.database.control() as session:
        tenant = await services.features.directory.resume(session, tenant_id, origin=origin_of(request, body.reason))
    return _answer(request, tenant)


@router.delete(_ONE, status_code=204)
@terms(requires_operator, tagged=True, ends_rights=True, errors=(TenantHasTargets,))
async def delete_tenant(request: Request, tenant_id: TenantInPath) -> Response:
    """Delete a tenant. All its data is deleted permanently."""
    services, expected = services_of(request), _expected(request, tenant_id)
    async with services.database.control() as session:
        await services.features.directory.delete(session, tenant_id, expected, origin=origin_of(request))
    return Response(status_code=204)


def _answer(request: Request, tenant: Tenant) -> Response:
    return answered(TenantResponse.of(tenant), services_of(request).tags.of(_tagged(tenant.id), tenant.version))


def _expected(request: Request, tenant: TenantId) -> Versions:
    return services_of(request).tags.expected(_tagged(tenant), request.scope)


def _tagged(tenant: TenantId) -> Tagged:
    return Tagged(_REPRESENTATION, tenant.bytes)
