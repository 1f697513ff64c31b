"""What one request carries from stage to stage: typed reading and writing of ``scope["state"]``."""

import time
from dataclasses import dataclass, field

from starlette.types import Scope

from tenants.errors import Forbidden
from tenants.principal import Operator, Principal

_KEY = "tenantry"


@dataclass(slots=True)
class RequestContext:
    """Made by the outermost stage, filled on the way in, read by the access log on the way out."""

    request_id: str
    client: str  # source address, after the configured proxies were believed
    started: float = field(default_factory=time.perf_counter)  # seconds, monotonic
    principal: Principal | None = None
    operator: Operator | None = None
    cost: int = 0  # what the request counts for in its tenant's usage; 0 while nothing has let it pass
    response_headers: list[tuple[bytes, bytes]] = field(default_factory=list)  # added by the one wrapper of send
    log: dict[str, object] = field(default_factory=dict)  # extra fields of the access line; never a secret


def open_context(scope: Scope, context: RequestContext) -> None:
    """Put the context where every later stage, and Starlette's ``request.state``, can find it."""
    scope.setdefault("state", {})[_KEY] = context


def context_of(scope: Scope) -> RequestContext:
    """The context of this request. Raises KeyError outside the gateway's own stages, which is a fault of ours."""
    context: RequestContext = scope["state"][_KEY]
    return context


def route_template(scope: Scope) -> str | None:
    """The template of the route that matched, never the path: paths hold ids, and whatever else a caller puts there."""
    route = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
    template: str | None = getattr(route, "path_format", None)
    return template


def principal_of(scope: Scope) -> Principal:
    """The tenant principal, on routes that ``requires`` guards."""
    principal = context_of(scope).principal
    if principal is None:
        raise Forbidden(detail="a guarded endpoint ran without a principal")
    return principal
