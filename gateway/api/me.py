"""``GET /v1/me``: the caller, its permissions and its tenant's plan."""

from typing import Annotated, Any, Literal

import orjson
from fastapi import Request, Response
from pydantic import BaseModel, Field

from gateway.authorization.guards import requires_principal
from gateway.request.context import principal_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import Services, services_of
from tenants.identifiers import API_KEY, TENANT, USER, WORKLOAD_RULE, example_of, show
from tenants.principal import Principal, PrincipalKind

_PREFIXES = {PrincipalKind.API_KEY: API_KEY, PrincipalKind.USER: USER, PrincipalKind.WORKLOAD: WORKLOAD_RULE}


class MeTenant(BaseModel):
    id: Annotated[str, Field(examples=[example_of(TENANT)])]
    slug: Annotated[str, Field(examples=["acme"])]
    status: Annotated[str, Field(examples=["active"])]


class MePrincipal(BaseModel):
    # An operator who acts for the tenant has no access.
    kind: Literal[PrincipalKind.API_KEY, PrincipalKind.USER, PrincipalKind.WORKLOAD]
    id: Annotated[str, Field(examples=[example_of(API_KEY)])]
    roles: Annotated[list[str], Field(examples=[["member"]])]


class MeLimit(BaseModel):
    """At most ``quota`` requests in any ``window_seconds`` seconds."""

    name: Annotated[str, Field(examples=["sustained"])]
    quota: Annotated[int, Field(examples=[120])]
    window_seconds: Annotated[int, Field(examples=[60])]


class MePlan(BaseModel):
    code: Annotated[str, Field(examples=["pro"])]
    limits: list[MeLimit]
    concurrency: Annotated[
        int | None, Field(description="Maximum number of concurrent requests; null is no limit.", examples=[20])
    ]
    features: Annotated[dict[str, Any], Field(examples=[{"exports": True, "members": 10}])]


class Me(BaseModel):
    """Response of ``GET /v1/me``."""

    tenant: MeTenant
    principal: MePrincipal
    permissions: Annotated[list[str], Field(examples=[["usage:read"]])]
    plan: MePlan


router = ManagementRouter(tags=["me"])


@router.get("/v1/me", response_model=Me)
@terms(requires_principal)
async def read_me(request: Request) -> Response:
    """Read the caller: its tenant, roles, permissions and plan."""
    document = _document(services_of(request), principal_of(request.scope))
    return Response(orjson.dumps(document), media_type="application/json")


def _document(services: Services, principal: Principal) -> dict[str, Any]:
    tenant = principal.tenant
    plan = services.plan_cache.plan(tenant.plan)
    return {
        "tenant": {"id": show(TENANT, tenant.id), "slug": tenant.slug, "status": tenant.status},
        "principal": {
            "kind": principal.kind,
            "id": show(_PREFIXES[principal.kind], principal.id),
            "roles": principal.roles,
        },
        "permissions": services.authorizer.permissions_of(principal),
        "plan": {
            "code": plan.code,
            "limits": [
                {"name": window.name, "quota": window.quota, "window_seconds": window.seconds}
                for window in plan.windows
            ],
            "concurrency": plan.concurrency,
            "features": dict(plan.features),
        },
    }
