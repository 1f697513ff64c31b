"""``POST /v1/roles/dry-run``: what staged changes of roles would make of the requests of the last seven days."""

from fastapi import Request, Response

from gateway.api.answers import answered
from gateway.authorization.guards import requires
from gateway.request.context import principal_of
from gateway.request.route import MOST_VALUES
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.decisions.schemas import DryRun, DryRunResponse
from tenants.members.errors import LastOwner
from tenants.roles.errors import RoleInUse, RoleNameTaken, TooManyRoles

router = ManagementRouter(tags=["roles"])


@router.post("/v1/roles/dry-run", response_model=DryRunResponse)
@terms(
    requires("decisions:explain"),
    value_limit=MOST_VALUES,
    idempotent=False,
    errors=(RoleNameTaken, TooManyRoles, RoleInUse, LastOwner),
)
async def try_role_changes(request: Request, body: DryRun) -> Response:
    """Try changes of roles, and of who has them, without making them.

    The changes are judged as one, by the rules of real changes, against the requests of the last seven days: who would
    be refused what they use now, and who would be admitted to what is refused to them now. Requests of the last seconds
    may not be included yet.
    """
    services, tenant = services_of(request), principal_of(request.scope).tenant
    return answered(await services.features.role_dry_run.run(tenant, body))
