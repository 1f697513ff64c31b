"""``/operator/v1/routes``: the routes to the SaaS team's own services, managed by operators."""

from typing import Annotated

from fastapi import Path, Request, Response

from gateway.api.pages import Page
from gateway.api.route_objects import RouteObjects
from gateway.authorization.guards import requires_operator, requires_operator_read
from gateway.request.entity_tags import representation_of
from gateway.request.route import MOST_VALUES
from gateway.routing.api_router import ManagementRouter
from gateway.routing.bounds import KIB
from gateway.routing.terms import terms
from tenants.routes.diff import Kind
from tenants.routes.errors import RouteExists
from tenants.routes.schemas import RouteSpec

_PATH = "/operator/v1/routes"
_ONE = f"{_PATH}/{{name}}"
_BODY_LIMIT = 512 * KIB
_OBJECTS = RouteObjects(Kind.ROUTE, _PATH, representation_of(RouteSpec))

RouteInPath = Annotated[str, Path(description="The name of the route.", examples=["echo"])]

router = ManagementRouter(tags=["routes"])


@router.post(_PATH, status_code=201, response_model=RouteSpec)
@terms(
    requires_operator,
    tagged=True,
    errors=(RouteExists,),
    ends_rights=True,
    body_limit=_BODY_LIMIT,
    value_limit=MOST_VALUES,
)
async def create_route(request: Request, body: RouteSpec) -> Response:
    """Create a route. It is in force on every worker when it is answered."""
    return await _OBJECTS.create(request, body)


@router.get(_PATH, response_model=Page[RouteSpec])
@terms(requires_operator_read)
async def list_routes(request: Request) -> Response:
    """List all routes. They are one page, in the order of the configuration."""
    return await _OBJECTS.page(request)


@router.get(_ONE, response_model=RouteSpec)
@terms(requires_operator_read, tagged=True)
async def read_route(request: Request, name: RouteInPath) -> Response:
    """Read one route."""
    return await _OBJECTS.read(request, name)


@router.put(_ONE, response_model=RouteSpec)
@terms(requires_operator, tagged=True, ends_rights=True, body_limit=_BODY_LIMIT, value_limit=MOST_VALUES)
async def replace_route(request: Request, name: RouteInPath, body: RouteSpec) -> Response:
    """Replace a route: members that are not sent get their default.

    The change is in force on every worker when it is answered.
    """
    return await _OBJECTS.replace(request, name, body)


@router.delete(_ONE, status_code=204)
@terms(requires_operator, tagged=True, ends_rights=True)
async def delete_route(request: Request, name: RouteInPath) -> Response:
    """Delete a route. No worker uses it when this is answered."""
    return await _OBJECTS.delete(request, name)
