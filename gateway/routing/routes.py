"""The routes of a FastAPI application, however its routers are nested, as the gate knows routes."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts

from gateway.authorization.guards import GuardDependency
from gateway.request.route import Guard, Route
from gateway.routing.direct_route import DirectRoute

_COST = "x-cost"


class RouteUnguarded(Exception):
    """A route that does not say who may call it, or says so twice (AZ1). The gateway does not start with one."""


def routes_of(app: FastAPI) -> Iterator[Route]:
    """One for each method of each path. Raises RouteUnguarded, and ValueError for a cost that cannot be charged."""
    for route in iter_route_contexts(app.routes):
        guard, cost = guard_of(route), cost_of(route)
        original = route.original_route
        answer = original.answering(app) if isinstance(original, DirectRoute) else app
        for method in sorted(route.methods or ()):
            yield Route(method, str(route.path_format), guard, answer, cost)


def costs(count: int) -> dict[str, Any]:
    """``openapi_extra=costs(5)``: a request to this route counts as five. The document shows what the gate charges."""
    return {_COST: count}


def cost_of(route: RouteContext) -> int:
    """For how many requests one to this route counts."""
    cost: int = (getattr(route, "openapi_extra", None) or {}).get(_COST, 1)
    return cost


def guard_of(route: RouteContext) -> Guard:
    """The route's one guard. Raises RouteUnguarded; a mounted application has none and is refused."""
    dependencies = [each.dependency for each in getattr(route, "dependencies", ())]
    guards = [each.guard for each in dependencies if isinstance(each, GuardDependency)]
    if len(guards) != 1:
        raise RouteUnguarded(f"{route.path} has {len(guards)} guards and needs one")
    return guards[0]
