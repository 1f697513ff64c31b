"""Routes, permissions and documents of every declared resource."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from starlette.responses import Response

from gateway.api.conditions import ETAG, IF_MATCH, IF_NONE_MATCH, NOT_MODIFIED
from gateway.authorization.guards import requires
from gateway.data.endpoints import Endpoints
from gateway.data.models import Models, models_of
from gateway.data.parameters import Parameter, id_parameter, list_parameters
from gateway.data.rendering import Renderer
from gateway.request.entity_tags import EntityTags
from gateway.routing.direct_route import DirectRoute
from gateway.routing.routes import costs
from tenants.crud.pages import Cursors
from tenants.resources.registry import Registry

_LOCATION = {"Location": {"description": "Where the new object is.", "schema": {"type": "string"}}}

_Endpoint = Callable[..., Awaitable[Response]]


def data_router(registry: Registry, secret: bytes) -> APIRouter:
    """``/v1/<resource>`` for each resource. ``secret`` signs cursors and tags, and is the same on every worker."""
    router = APIRouter(route_class=DirectRoute)
    cursors, tags = Cursors(secret), EntityTags(secret)
    for collection in registry.collections:
        path = f"/v1/{collection.name}"
        endpoints = Endpoints(collection, cursors, tags, Renderer(collection), path)
        _add_routes(_Adder(router, endpoints), endpoints, models_of(collection))
    return router


def _add_routes(add: "_Adder", endpoints: Endpoints, models: Models) -> None:
    collection, path = endpoints.collection, endpoints.path
    one, row = f"{path}/{{id}}", id_parameter(collection)
    create, update = _with_body(endpoints.create, models.create), _with_body(endpoints.update, models.update)
    add("list", "GET", path, endpoints.list, models.page, parameters=list_parameters(collection))
    add("create", "POST", path, create, models.shown, status=201, headers=ETAG | _LOCATION)
    add("read", "GET", one, endpoints.read, models.shown, headers=ETAG, parameters=[row, IF_NONE_MATCH])
    add("update", "PATCH", one, update, models.shown, headers=ETAG, parameters=[row, IF_MATCH])
    add("delete", "DELETE", one, endpoints.delete, None, status=204, parameters=[row, IF_MATCH])


class _Adder:
    """Adds the routes of one resource, each with its guard and its place in the OpenAPI document."""

    def __init__(self, router: APIRouter, endpoints: Endpoints) -> None:
        self._router = router
        self._collection = endpoints.collection

    def __call__(
        self,
        verb: str,
        method: str,
        path: str,
        endpoint: _Endpoint,
        model: type[BaseModel] | None,
        *,
        status: int = 200,
        headers: dict[str, Any] | None = None,
        parameters: Sequence[Parameter] = (),
    ) -> None:
        name, singular = self._collection.name, self._collection.resource.singular
        permission = f"{name}:{'read' if verb == 'list' else verb}"
        cost = self._collection.resource.costs.get(verb, 1)
        responses: dict[int | str, dict[str, Any]] = {status: {"headers": headers or {}}}
        if verb == "read":
            responses[304] = NOT_MODIFIED
        self._router.add_api_route(
            path,
            endpoint,
            methods=[method],
            status_code=status,
            response_model=model,
            responses=responses,
            dependencies=[Depends(requires(permission))],
            tags=[name],
            operation_id=f"list_{name}" if verb == "list" else f"{verb}_{singular}",
            summary=_SUMMARIES[verb].format(name if verb == "list" else singular.replace("_", " ")),
            description=f"Needs the permission `{permission}`." + (f" Counts as {cost} requests." if cost > 1 else ""),
            openapi_extra={"parameters": list(parameters), **costs(cost)},
        )


_SUMMARIES = {
    "list": "List {}",
    "create": "Create one {}",
    "read": "Read one {}",
    "update": "Change one {}",
    "delete": "Delete one {}",
}


def _with_body(endpoint: Callable[[Request, Any], Awaitable[Response]], model: type[BaseModel]) -> _Endpoint:
    """FastAPI reads the body's model from the annotation, which only the resource knows."""

    async def with_body(request: Request, body: BaseModel) -> Response:
        return await endpoint(request, body)

    with_body.__annotations__["body"] = model
    return with_body
