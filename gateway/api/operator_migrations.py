"""``/operator/v1/migrations``: the revisions of the control schema and of each tenant's schema."""

from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import Field

from gateway.api.answers import answered, read_view
from gateway.api.pages import ListCursors, ListQuery, Page
from gateway.api.path_ids import TenantInPath
from gateway.authorization.guards import requires_operator_read
from gateway.request.entity_tags import Tagged, representation_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from migrations.schemas import ControlMigrationResponse, TenantMigrationResponse
from tenants.directory.models import MigrationState

_PATH = "/operator/v1/migrations"
_CONTROL = Tagged(representation_of(ControlMigrationResponse), b"control")
_TENANT = representation_of(TenantMigrationResponse)


class MigrationQuery(ListQuery):
    """Query of the tenants' migrations, ordered by the creation of the tenants."""

    state: Annotated[MigrationState | None, Field(description="Result of the last attempt.")] = None
    behind: Annotated[bool | None, Field(description="Whether `tenantry migrate` has revisions to apply.")] = None
    servable: Annotated[bool | None, Field(description="Whether this version of the code can serve the tenant.")] = None


router = ManagementRouter(tags=["migrations"])


@router.get(_PATH, response_model=Page[TenantMigrationResponse])
@terms(requires_operator_read)
async def list_migrations(request: Request, query: Annotated[MigrationQuery, Query()]) -> Response:
    """List the migration state of each tenant. The newest tenant comes first."""
    services = services_of(request)
    cursors = ListCursors(services.settings.secret, "migrations", None, query)
    async with services.database.control() as session:
        rows = await services.features.ledger.page(
            session, cursors.keyset(), state=query.state, behind=query.behind, servable=query.servable
        )
    return answered(cursors.page(rows, TenantMigrationResponse.of))


@router.get(f"{_PATH}/control", response_model=ControlMigrationResponse)
@terms(requires_operator_read, tagged=True)
async def read_control_migration(request: Request) -> Response:
    """Read the migration state of the control schema. It is migrated before the tenants."""
    services = services_of(request)
    async with services.database.control() as session:
        status = await services.control_revision.status(session)
    return read_view(request, ControlMigrationResponse.model_validate(status), _CONTROL)


@router.get(f"{_PATH}/{{tenant_id}}", response_model=TenantMigrationResponse)
@terms(requires_operator_read, tagged=True)
async def read_migration(request: Request, tenant_id: TenantInPath) -> Response:
    """Read the migration state of one tenant."""
    services = services_of(request)
    async with services.database.control() as session:
        status = await services.features.ledger.read(session, tenant_id)
    return read_view(request, TenantMigrationResponse.of(status), Tagged(_TENANT, tenant_id.bytes))
