"""``/operator/v1/upstreams``: the services that routes go to, managed by operators."""

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
from tenants.routes.errors import UpstreamExists, UpstreamInUse
from tenants.routes.schemas import UpstreamSpec

_PATH = "/operator/v1/upstreams"
_ONE = f"{_PATH}/{{name}}"
_BODY_LIMIT = 512 * KIB
_OBJECTS = RouteObjects(Kind.UPSTREAM, _PATH, representation_of(UpstreamSpec))

UpstreamInPath = Annotated[str, Path(description="The name of the upstream.", examples=["echo"])]

router = ManagementRouter(tags=["upstreams"])


@router.post(_PATH, status_code=201, response_model=UpstreamSpec)
@terms(
    requires_operator,
    tagged=True,
    errors=(UpstreamExists,),
    ends_rights=True,
    body_limit=_BODY_LIMIT,
    value_limit=MOST_VALUES,
)
async def create_upstream(request: Request, body: UpstreamSpec) -> Response:
    """Create an upstream. It is in force on every worker when it is answered."""
    return await _OBJECTS.create(request, body)


@router.get(_PATH, response_model=Page[UpstreamSpec])
@terms(requires_operator_read)
async def list_upstreams(request: Request) -> Response:
    """List all upstreams. They are one page, in the order of the configuration."""
    return await _OBJECTS.page(request)


@router.get(_ONE, response_model=UpstreamSpec)
@terms(requires_operator_read, tagged=True)
async def read_upstream(request: Request, name: UpstreamInPath) -> Response:
    """Read one upstream."""
    return await _OBJECTS.read(request, name)


@router.put(_ONE, response_model=UpstreamSpec)
@terms(requires_operator, tagged=True, ends_rights=True, body_limit=_BODY_LIMIT, value_limit=MOST_VALUES)
async def replace_upstream(request: Request, name: UpstreamInPath, body: UpstreamSpec) -> Response:
    """Replace an upstream: members that are not sent get their default.

    The change is in force on every worker when it is answered.
    """
    return await _OBJECTS.replace(request, name, body)


@router.delete(_ONE, status_code=204)
@terms(requires_operator, tagged=True, ends_rights=True, errors=(UpstreamInUse,))
async def delete_upstream(request: Request, name: UpstreamInPath) -> Response:
    """Delete an upstream that no route goes to. No worker uses it when this is answered."""
    return await _OBJECTS.delete(request, name)
