"""``GET /v1/me``: the caller, its permissions and its tenant's plan."""

from typing import Annotated, Any

import orjson
from fastapi import Request, Response
from pydantic import BaseModel, Field

from gateway.authorization.guards import requires_principal
from gateway.request.context import principal_of
from gateway.routing.api_router import APIRouter
from gateway.routing.terms import terms
from gateway.services import Services, services_of
from tenants.identifiers import API_KEY, TENANT, USER, show
from tenants.principal import Principal, PrincipalKind

_PREFIXES = {PrincipalKind.API_KEY: API_KEY, PrincipalKind.USER: USER}


class MeTenant(BaseModel):
    id: str
    slug: str
    status: str


class MePrincipal(BaseModel):
    kind: PrincipalKind
    id: str
    roles: list[str]


class MeLimit(BaseModel):
    """At most ``quota`` requests in any ``window_seconds`` seconds."""

    name: str
    quota: int
    window_seconds: int


class MePlan(BaseModel):
    code: str
    limits: list[MeLimit]
    concurrency: Annotated[int | None, Field(description="Maximum number of concurrent requests; null is no limit.")]
    features: dict[str, Any]


class Me(BaseModel):
    """Response of ``GET /v1/me``."""

    tenant: MeTenant
    principal: MePrincipal
    permissions: list[str]
    plan: MePlan


router = APIRouter(tags=["me"])


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
