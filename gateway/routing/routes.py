"""The routes of a FastAPI application, however its routers are nested, as the gate knows routes."""

import re
from collections.abc import Iterable, Iterator

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import BaseRoute

from gateway.request.route import Route
from gateway.routing.api_router import ApiRoute
from gateway.routing.runner import runner_of
from tenants.resources.errors import DeclarationError

_SEGMENT = re.compile(r"[^{}]*|\{\w+\}")
_LAST_SEGMENT = re.compile(r"[^{}]*|\{\w+(:path)?\}")


def routes_of(app: FastAPI) -> Iterator[Route]:
    """One for each method of each path. Raises DeclarationError for what has no terms (AZ1), a mount above all."""
    for context, route in api_routes(app.routes):
        answer = runner_of(context, route.terms, app)
        for method in sorted(route.methods or ()):
            yield Route(method, _template(context), route.terms, answer)


def api_routes(routes: Iterable[BaseRoute]) -> Iterator[tuple[RouteContext, ApiRoute]]:
    """The routes, each as it is included. Raises DeclarationError for what is not an ``ApiRoute``."""
    for context in iter_route_contexts(list(routes)):
        route = context.original_route
        if not isinstance(route, ApiRoute):
            raise DeclarationError(
                f"Route {context.path}",
                f"it is a {type(route).__name__} without terms; register it on tenantry.APIRouter, with @terms(...)",
            )
        if context.body_field is not None and route.body_field is None:
            raise DeclarationError(
                f"Route {context.path}",
                "a dependency of an included router reads the body, outside its bounds; give it to the endpoint",
            )
        yield context, route


def _template(context: RouteContext) -> str:
    """``/v1/files/{rest:path}``: the path with its parameters, as ``RouteTable`` reads it. Raises DeclarationError."""
    template = str(context.path)
    *segments, last = template.split("/")
    if not all(map(_SEGMENT.fullmatch, segments)) or not _LAST_SEGMENT.fullmatch(last):
        raise DeclarationError(
            f"Route {template}",
            "a parameter is a whole segment, such as /{id}; its type is its annotation; {name:path} comes last",
        )
    return template
