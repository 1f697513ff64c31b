"""``/operator/v1/migrations``: how far the schemas are, and what became of the tenant that could not be migrated."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from gateway.api.answers import answered, read_view
from gateway.api.conditions import TAGGED
from gateway.api.pages import ListCursors, ListQuery, Page
from gateway.authorization.guards import requires_operator
from gateway.request.entity_tags import Tagged, representation_of
from gateway.routing.strict_route import StrictRoute
from gateway.services import services_of
from migrations.models import State
from migrations.schemas import ControlMigrationShown, TenantMigrationShown
from tenants.errors import NotFound
from tenants.identifiers import TENANT, TenantId
from tenants.identifiers import read as read_id

_PATH = "/operator/v1/migrations"
_CONTROL = Tagged(representation_of(ControlMigrationShown), b"control")
_TENANT = representation_of(TenantMigrationShown)


class MigrationQuery(ListQuery):
    """Query of the tenants' migrations, by the time of the tenants' making."""

    state: Annotated[State | None, Field(description="How the last attempt ended.")] = None
    behind: Annotated[bool | None, Field(description="Those that `tenantry migrate` would bring forward, or not.")] = (
        None
    )


router = APIRouter(route_class=StrictRoute, tags=["operator: migrations"])


@router.get(_PATH, response_model=Page[TenantMigrationShown], dependencies=[Depends(requires_operator)])
async def list_migrations(request: Request, query: Annotated[MigrationQuery, Query()]) -> Response:
    """How far the schema of each tenant is, the newest tenant first."""
    services = services_of(request)
    cursors = ListCursors(services.settings.secret, "migrations", None, query)
    async with services.database.control() as session:
        rows = await services.features.ledger.page(session, cursors.keyset(), state=query.state, behind=query.behind)
    shown, following = cursors.cut(rows)
    data = [TenantMigrationShown.of(each) for each in shown]
    return answered(Page(data=data, has_more=following is not None, next_cursor=following))


@router.get(
    f"{_PATH}/control", response_model=ControlMigrationShown, dependencies=[Depends(requires_operator)], **TAGGED
)
async def read_control_migration(request: Request) -> Response:
    """How far the control schema is, which comes before every tenant's."""
    services = services_of(request)
    async with services.database.control() as session:
        standing = await services.control_revision.standing(session)
    return read_view(request, ControlMigrationShown.model_validate(standing), _CONTROL)


@router.get(
    f"{_PATH}/{{tenant_id}}", response_model=TenantMigrationShown, dependencies=[Depends(requires_operator)], **TAGGED
)
async def read_migration(request: Request, tenant_id: str) -> Response:
    """How far the schema of one tenant is."""
    services, found = services_of(request), read_id(TENANT, tenant_id)
    if found is None:
        raise NotFound
    async with services.database.control() as session:
        standing = await services.features.ledger.read(session, TenantId(found))
    return read_view(request, TenantMigrationShown.of(standing), Tagged(_TENANT, found.bytes))
