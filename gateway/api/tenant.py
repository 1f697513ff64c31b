"""``/v1/tenant``: the caller's own tenant."""

from fastapi import Request, Response

from gateway.api.answers import answered, read
from gateway.authorization.guards import requires
from gateway.request.context import principal_of
from gateway.request.entity_tags import Tagged, representation_of
from gateway.request.origin import origin_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.directory.schemas import ChangeOwnTenant, OwnTenantResponse
from tenants.identifiers import TenantId
from tenants.sign_in.second_factor import SecondFactorNeeded

_PATH = "/v1/tenant"
_REPRESENTATION = representation_of(OwnTenantResponse)

router = ManagementRouter(tags=["tenant"])


@router.get(_PATH, response_model=OwnTenantResponse)
@terms(requires("tenant:read"), tagged=True)
async def read_own_tenant(request: Request) -> Response:
    """Read your tenant."""
    services, own = services_of(request), principal_of(request.scope).tenant
    async with services.database.control(own) as session:
        tenant = await services.features.directory.read(session, own.id)
    return read(request, OwnTenantResponse.of(tenant), _tagged(own.id), tenant.version)


@router.patch(_PATH, response_model=OwnTenantResponse)
@terms(requires("tenant:update"), tagged=True, errors=(SecondFactorNeeded,), ends_rights=True)
async def update_own_tenant(request: Request, body: ChangeOwnTenant) -> Response:
    """Change your tenant. The plan is changed by buying another one, the slug never.

    Pages of `allowed_origins` may call the API from a browser (CORS); without any, no page may.

    To set `require_mfa`, a person must have signed in with a second factor. Sessions that used none end; members who
    have none enrol one at their next sign-in.
    """
    services, own = services_of(request), principal_of(request.scope).tenant
    tagged = _tagged(own.id)
    expected = services.tags.expected(tagged, request.scope)
    mfa, requires_mfa = services.features.people.mfa.tenant, "require_mfa" in body.model_fields_set and body.require_mfa
    if requires_mfa:
        mfa.check_may_require(principal_of(request.scope))
    async with services.database.control(own) as session:
        await services.features.people.members.keys.check_choice(session, own.id, body)
        tenant = await services.features.directory.change(session, own.id, body, expected, origin=origin_of(request))
    if requires_mfa:
        async with services.database.control(own) as session:
            await mfa.end_weak_sessions(session, own.id)
    return answered(OwnTenantResponse.of(tenant), services.tags.of(tagged, tenant.version))


def _tagged(tenant: TenantId) -> Tagged:
    return Tagged(_REPRESENTATION, tenant.bytes, tenant.bytes)
