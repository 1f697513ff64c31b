"""``/v1/workload-rules``: programs that a tenant trusts by the tokens of an outside issuer."""

from typing import Annotated

from fastapi import Query, Request, Response

from gateway.api.answers import answered, created, read
from gateway.api.pages import ListCursors, ListQuery, Page
from gateway.api.path_ids import WorkloadRuleInPath
from gateway.authorization.guards import requires
from gateway.request.context import principal_of
from gateway.request.entity_tags import Tagged, representation_of
from gateway.request.origin import origin_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.api_keys.issuer import ExceedsIssuer, Issuer
from tenants.database.sessions import ControlSession
from tenants.identifiers import TenantId, WorkloadRuleId
from tenants.workloads.errors import NoWorkloadRules, TooManyWorkloadRules
from tenants.workloads.schemas import ChangeWorkloadRule, CreateWorkloadRule, WorkloadRuleResponse

_PATH = "/v1/workload-rules"
_ONE = f"{_PATH}/{{rule_id}}"
_REPRESENTATION = representation_of(WorkloadRuleResponse)

router = ManagementRouter(tags=["workload rules"])


@router.post(_PATH, status_code=201, response_model=WorkloadRuleResponse)
@terms(requires("workloads:manage"), tagged=True, errors=(ExceedsIssuer, NoWorkloadRules, TooManyWorkloadRules))
async def create_workload_rule(request: Request, body: CreateWorkloadRule) -> Response:
    """Trust the workloads of an issuer whose tokens match the patterns. The issuer is asked for its metadata first.

    The rule gives at most what you hold. It is the tenant's own and stays when you leave, so that it needs
    `service_keys:create` as well.
    """
    services, tenant = services_of(request), principal_of(request.scope).tenant
    rules = services.features.workloads.rules
    await rules.check_issuer(body.issuer)
    async with services.database.control(tenant) as session:
        issuer = await _issuer(request, session)
        rule = await rules.create(session, tenant.id, issuer, body, origin=origin_of(request))
    response, tag = WorkloadRuleResponse.of(rule), services.tags.of(_tagged(rule.id, tenant.id), rule.version)
    return created(response, f"{_PATH}/{response.id}", tag)


@router.get(_PATH, response_model=Page[WorkloadRuleResponse])
@terms(requires("workloads:manage"))
async def list_workload_rules(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """List the tenant's workload rules. The newest comes first."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    cursors = ListCursors(services.settings.secret, "workload-rules", tenant.id, query)
    async with services.database.control(tenant) as session:
        rows = await services.features.workloads.rules.page(session, tenant.id, cursors.keyset())
    return answered(cursors.page(rows, WorkloadRuleResponse.of))


@router.get(_ONE, response_model=WorkloadRuleResponse)
@terms(requires("workloads:manage"), tagged=True)
async def read_workload_rule(request: Request, rule_id: WorkloadRuleInPath) -> Response:
    """Read one workload rule."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(tenant) as session:
        rule = await services.features.workloads.rules.read(session, tenant.id, rule_id)
    return read(request, WorkloadRuleResponse.of(rule), _tagged(rule.id, tenant.id), rule.version)


@router.patch(_ONE, response_model=WorkloadRuleResponse)
@terms(requires("workloads:manage"), tagged=True, ends_rights=True, errors=(ExceedsIssuer, NoWorkloadRules))
async def update_workload_rule(request: Request, rule_id: WorkloadRuleInPath, body: ChangeWorkloadRule) -> Response:
    """Change a workload rule. The tokens that it has given end.

    The changed rule must be within what you hold and needs `service_keys:create`, unless you only rename or disable it.
    """
    services, tenant = services_of(request), principal_of(request.scope).tenant
    rules, tagged = services.features.workloads.rules, _tagged(rule_id, tenant.id)
    expected = services.tags.expected(tagged, request.scope)
    if body.issuer:
        await rules.check_issuer(body.issuer)
    async with services.database.control(tenant) as session:
        issuer = await _issuer(request, session)
        rule = await rules.change(
            session, tenant.id, issuer, rule_id, body, origin=origin_of(request), versions=expected
        )
    return answered(WorkloadRuleResponse.of(rule), services.tags.of(tagged, rule.version))


@router.delete(_ONE, status_code=204)
@terms(requires("workloads:manage"), tagged=True, ends_rights=True)
async def delete_workload_rule(request: Request, rule_id: WorkloadRuleInPath) -> Response:
    """Delete a workload rule. The tokens that it has given end."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    expected = services.tags.expected(_tagged(rule_id, tenant.id), request.scope)
    async with services.database.control(tenant) as session:
        await services.features.workloads.rules.delete(
            session, tenant.id, rule_id, origin=origin_of(request), versions=expected
        )
    return Response(status_code=204)


async def _issuer(request: Request, session: ControlSession) -> Issuer:
    """The caller, with its tenant's own roles as they are until the transaction ends."""
    services, principal = services_of(request), principal_of(request.scope)
    roles = await services.features.roles.held(session, principal.tenant.id)
    return Issuer(principal, frozenset(services.authorizer.permissions_of(principal)), roles.policy)


def _tagged(rule: WorkloadRuleId, tenant: TenantId) -> Tagged:
    return Tagged(_REPRESENTATION, rule.bytes, tenant.bytes)
