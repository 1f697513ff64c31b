"""The routes of a FastAPI application, however its routers are nested, as the gate knows routes."""

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts

from gateway.authorization.guards import GuardDependency
from gateway.route import Guard, Route


class RouteUnguarded(Exception):
    """A route that does not say who may call it, or says so twice (AZ1). The gateway does not start with one."""


def routes_of(app: FastAPI) -> Iterator[Route]:
    """One for each method of each path. Raises RouteUnguarded."""
    for route in iter_route_contexts(app.routes):
        guard = guard_of(route)
        for method in sorted(route.methods or ()):
            yield Route(method, str(route.path_format), guard, app)


def guard_of(route: RouteContext) -> Guard:
    """The route's one guard. Raises RouteUnguarded; a mounted application has none and is refused."""
    dependencies = [each.dependency for each in getattr(route, "dependencies", ())]
    guards = [each.guard for each in dependencies if isinstance(each, GuardDependency)]
    if len(guards) != 1:
        raise RouteUnguarded(f"{route.path} has {len(guards)} guards and needs one")
    return guards[0]
