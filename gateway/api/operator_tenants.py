"""``/operator/v1/tenants``: the tenants as the SaaS's own staff make and keep them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from gateway.api.answers import answered, created, read
from gateway.api.conditions import CHANGED, ONLY_IF_UNCHANGED, TAGGED
from gateway.api.pages import ListCursors, ListQuery, Page
from gateway.authorization.guards import requires_operator
from gateway.request.entity_tags import Tagged, Versions, representation_of
from gateway.routing.strict_route import StrictRoute
from gateway.services import services_of
from tenants.directory.models import Tenant
from tenants.directory.schemas import ChangeTenant, TenantShown
from tenants.errors import NotFound
from tenants.identifiers import TENANT, TenantId
from tenants.identifiers import read as read_id
from tenants.onboarding.schemas import CreateTenant, TenantCreated
from tenants.principal import TenantStatus

_PATH = "/operator/v1/tenants"
_ONE = f"{_PATH}/{{tenant_id}}"
_REPRESENTATION = representation_of(TenantShown)

router = APIRouter(route_class=StrictRoute, tags=["operator: tenants"])


@router.post(_PATH, status_code=201, response_model=TenantCreated, dependencies=[Depends(requires_operator)])
async def create_tenant(request: Request, wanted: CreateTenant) -> Response:
    """Make a tenant with its schema, its role, and a first key, whose secret stands in this answer alone."""
    services = services_of(request)
    async with services.database.control() as session:
        made = await services.features.onboarding.create(session, wanted)
    shown = TenantCreated.made(made.tenant, made.key.key, made.key.secret)
    return created(shown, f"{_PATH}/{shown.id}")


@router.get(_PATH, response_model=Page[TenantShown], dependencies=[Depends(requires_operator)])
async def list_tenants(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """All tenants, suspended ones too, the newest first."""
    services = services_of(request)
    cursors = ListCursors(services.settings.secret, "tenants", None, query)
    async with services.database.control() as session:
        rows = await services.features.directory.page(session, cursors.keyset())
    shown, following = cursors.cut(rows)
    return answered(
        Page(data=[TenantShown.of(each) for each in shown], has_more=following is not None, next_cursor=following)
    )


@router.get(_ONE, response_model=TenantShown, dependencies=[Depends(requires_operator)], **TAGGED)
async def read_tenant(request: Request, tenant_id: str) -> Response:
    """One tenant."""
    services = services_of(request)
    async with services.database.control() as session:
        tenant = await services.features.directory.read(session, _id(tenant_id))
    return read(request, TenantShown.of(tenant), _tagged(tenant.id), tenant.version)


@router.patch(_ONE, response_model=TenantShown, dependencies=[Depends(requires_operator)], **CHANGED)
async def change_tenant(request: Request, tenant_id: str, wanted: ChangeTenant) -> Response:
    """Move the tenant to another plan."""
    services, identifier = services_of(request), _id(tenant_id)
    expected = _expected(request, identifier)
    async with services.database.control() as session:
        tenant = await services.features.directory.change_plan(session, identifier, wanted.plan, expected)
    return _answer(request, tenant)


@router.post(f"{_ONE}/suspend", response_model=TenantShown, dependencies=[Depends(requires_operator)])
async def suspend_tenant(request: Request, tenant_id: str) -> Response:
    """Refuse all its credentials from now on; its data stays."""
    return await _set_status(request, tenant_id, TenantStatus.SUSPENDED)


@router.post(f"{_ONE}/resume", response_model=TenantShown, dependencies=[Depends(requires_operator)])
async def resume_tenant(request: Request, tenant_id: str) -> Response:
    """Take its credentials again."""
    return await _set_status(request, tenant_id, TenantStatus.ACTIVE)


@router.delete(_ONE, status_code=204, dependencies=[Depends(requires_operator)], **ONLY_IF_UNCHANGED)
async def delete_tenant(request: Request, tenant_id: str) -> Response:
    """Delete the tenant with all its data, for good."""
    services, identifier = services_of(request), _id(tenant_id)
    async with services.database.control() as session:
        await services.features.directory.delete(session, identifier, _expected(request, identifier))
    return Response(status_code=204)


async def _set_status(request: Request, tenant_id: str, status: TenantStatus) -> Response:
    services = services_of(request)
    async with services.database.control() as session:
        tenant = await services.features.directory.set_status(session, _id(tenant_id), status)
    return _answer(request, tenant)


def _answer(request: Request, tenant: Tenant) -> Response:
    return answered(TenantShown.of(tenant), services_of(request).tags.of(_tagged(tenant.id), tenant.version))


def _expected(request: Request, tenant: TenantId) -> Versions:
    return services_of(request).tags.expected(_tagged(tenant), request.scope)


def _tagged(tenant: TenantId) -> Tagged:
    return Tagged(_REPRESENTATION, tenant.bytes)


def _id(text: str) -> TenantId:
    found = read_id(TENANT, text)
    if found is None:
        raise NotFound
    return TenantId(found)
