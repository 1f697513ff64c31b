"""Which routes an operator reaches who acts for a tenant: a table by hand, over every route (AZ3)."""

from uuid import uuid4

import pytest

from gateway.authorization.authorizer import Authorizer
from gateway.authorization.stage import AuthorizationStage
from gateway.identity.acting import ActingStage
from gateway.request.route import Route
from gateway.routing.routes import routes_of
from tenants.audit.origin import Origin
from tenants.audit.service import State
from tenants.database.names import tenant_role, tenant_schema
from tenants.errors import Forbidden
from tenants.identifiers import TENANT, TenantId, new_id, show
from tenants.principal import Operator, OperatorRole, TenantRef, TenantStatus
from tests.asgi import HOST, http_scope, request_context, run_stage
from tests.fixtures.unconnected import unconnected_api, unconnected_services

pytestmark = pytest.mark.anyio

_ID = TenantId(new_id())
_TENANT = TenantRef(_ID, "acme", TenantStatus.SUSPENDED, tenant_schema(_ID), tenant_role(_ID), "scale")
_FIELDS = [HOST, (b"tenantry-tenant", show(TENANT, _ID).encode()), (b"tenantry-reason", b"Ticket 4711")]
_READ = ("/v1/tenant", "/v1/api-keys", "/v1/usage", "/v1/members", "/v1/roles", "/v1/permissions")
_CHANGE = {
    "/v1/members/{user_id}/api-keys/revoke",
    "/v1/members/{user_id}/api-keys/hand-over",
    "/v1/tenant",
    "/v1/api-keys/{key_id}/revoke",
    "/v1/api-keys/{key_id}/disable",
    "/v1/members/{user_id}",
    "/v1/roles",
    "/v1/roles/{role_id}",
}
_CHANGE |= {"/v1/members/{user_id}/mfa"}


def _may_act(role: OperatorRole, route: Route) -> bool:
    """Everything else is closed: data, sign-in, pages, and what makes a credential."""
    if role is OperatorRole.VERIFIER:
        return False
    if route.template in {"/v1/decisions/explain", "/v1/roles/dry-run"}:  # change nothing
        return True
    if route.method == "GET":
        return route.template.startswith(_READ)
    return role is OperatorRole.ADMIN and route.template in _CHANGE


async def _find(_tenant: TenantId) -> TenantRef:
    return _TENANT


async def _record(_tenant: TenantRef, origin: Origin, _shown: State) -> None:
    assert origin.reason == "Ticket 4711"


async def _is_admitted(authorizer: Authorizer, role: OperatorRole, route: Route) -> bool:
    request = request_context(http_scope(route.method, route.template, headers=_FIELDS))
    request.route, request.operator = route, Operator(uuid4(), "staff", role)
    try:
        await run_stage(ActingStage(_find, _record), request)
        await run_stage(AuthorizationStage(authorizer), request)
    except Forbidden:
        return False
    return True


@pytest.mark.parametrize("role", OperatorRole)
async def test_what_operators_may_call_for_a_tenant_agrees_with_a_table_by_hand(role: OperatorRole) -> None:
    """AZ3: no route of data is open to them, and none whose answer has a token or a key."""
    services = unconnected_services()
    routes = list(routes_of(unconnected_api(services)))
    admitted = {route: await _is_admitted(services.authorizer, role, route) for route in routes}
    assert admitted == {route: _may_act(role, route) for route in routes}
