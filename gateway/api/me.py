"""``GET /v1/me``: who asks, what they may do, and what their tenant's plan allows."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from gateway.authorization.guards import requires_principal
from gateway.request.context import principal_of
from gateway.routing.strict_route import StrictRoute
from gateway.services import Services, services_of
from tenants.identifiers import API_KEY, TENANT, USER, show
from tenants.principal import Principal, PrincipalKind

_PREFIXES = {PrincipalKind.API_KEY: API_KEY, PrincipalKind.USER: USER}


class TenantOfMe(BaseModel):
    id: str
    slug: str
    status: str


class PrincipalOfMe(BaseModel):
    kind: PrincipalKind
    id: str
    roles: list[str]


class LimitOfMe(BaseModel):
    """At most ``quota`` requests in any ``window_seconds`` seconds."""

    name: str
    quota: int
    window_seconds: int


class PlanOfMe(BaseModel):
    code: str
    limits: list[LimitOfMe]
    concurrency: Annotated[int | None, Field(description="Requests that may be in flight at once; null is no limit.")]
    features: dict[str, Any]


class Me(BaseModel):
    """Answer of ``GET /v1/me``."""

    tenant: TenantOfMe
    principal: PrincipalOfMe
    permissions: list[str]
    plan: PlanOfMe


router = APIRouter(route_class=StrictRoute, tags=["me"])


@router.get("/v1/me", response_model=Me, dependencies=[Depends(requires_principal)])
async def read_me(request: Request) -> Response:
    """The caller itself: its tenant, its roles and permissions, its plan."""
    document = _document(services_of(request), principal_of(request.scope))
    return Response(orjson.dumps(document), media_type="application/json")


def _document(services: Services, principal: Principal) -> dict[str, Any]:
    tenant = principal.tenant
    plan = services.plan_book.plan(tenant.plan)
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
