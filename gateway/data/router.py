"""The routes of every declared resource, with their terms and their part of the OpenAPI document."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel

from gateway.authorization.guards import requires
from gateway.data.endpoints import Endpoints
from gateway.data.models import longest_body, models_of
from gateway.data.parameters import Parameter, id_parameter, list_parameters
from gateway.data.rendering import Renderer
from gateway.request.entity_tags import EntityTags
from gateway.routing.api_router import APIRouter
from gateway.routing.bounds import BODY_LIMIT, LARGEST_DOCUMENT
from gateway.routing.terms import terms
from tenants.crud.pages import Cursors
from tenants.crud.refusals import NotUnique, StillReferred
from tenants.errors import TenantryError
from tenants.resources.collection import Collection
from tenants.resources.registry import Registry

_Endpoint = Callable[..., Awaitable[Response]]


def data_router(registry: Registry, cursors: Cursors, tags: EntityTags) -> APIRouter:
    """``/v1/<resource>`` for each resource."""
    router = APIRouter()
    for collection in registry.collections:
        endpoints = Endpoints(collection, cursors, tags, Renderer(collection), f"/v1/{collection.name}")
        _add_routes(router, endpoints)
    return router


def _add_routes(router: APIRouter, endpoints: Endpoints) -> None:
    collection, path, models = endpoints.collection, endpoints.path, models_of(endpoints.collection)
    add = _Adder(router, collection)
    one, row = f"{path}/{{id}}", {"parameters": [id_parameter(collection)]}
    create, update = _with_body(endpoints.create, models.create), _with_body(endpoints.update, models.update)
    add("list", "GET", path, _without_body(endpoints.list), response_model=models.page)
    add("create", "POST", path, create, response_model=models.response, status_code=201)
    add("read", "GET", one, _without_body(endpoints.read), response_model=models.response, openapi_extra=row)
    add("update", "PATCH", one, update, response_model=models.response, openapi_extra=row)
    add("delete", "DELETE", one, _without_body(endpoints.delete), status_code=204, openapi_extra=row)


class _Adder:
    """Adds the routes of one resource."""

    def __init__(self, router: APIRouter, collection: Collection) -> None:
        self._router = router
        self._collection = collection
        # At least the usual bound, so that a mistake in a short body is named and not its size.
        self._body_limit = min(max(BODY_LIMIT, longest_body(collection)), LARGEST_DOCUMENT)

    def __call__(self, verb: str, method: str, path: str, endpoint: _Endpoint, **options: Any) -> None:
        name, singular = self._collection.name, self._collection.resource.singular
        listed = verb == "list"
        what = (name if listed else singular).replace("_", " ")
        permission = f"{name}:{'read' if listed else verb}"
        cost = self._collection.resource.costs.get(verb, 1)
        query: list[Parameter] = list_parameters(self._collection) if listed else []
        body_limit = self._body_limit if verb in ("create", "update") else None
        self._router.add_api_route(
            path,
            terms(
                requires(permission),
                cost=cost,
                query=query,
                body_limit=body_limit,
                tagged=not listed,
                errors=_ERRORS[verb],
            )(endpoint),
            methods=[method],
            tags=[name],
            operation_id=f"list_{name}" if listed else f"{verb}_{singular}",
            summary=_SUMMARIES[verb].format(what),
            description=_DESCRIPTIONS[verb].format(what),
            **options,
        )


_ERRORS: dict[str, tuple[type[TenantryError], ...]] = {
    "list": (),
    "create": (NotUnique,),
    "read": (),
    "update": (NotUnique,),
    "delete": (StillReferred,),
}
_SUMMARIES = {
    "list": "List {}",
    "create": "Create a {}",
    "read": "Read a {}",
    "update": "Update a {}",
    "delete": "Delete a {}",
}
_DESCRIPTIONS = {
    "list": "List the {} that match every filter, one page at a time.",
    "create": "Create a {}. Fields that are left out get their default, or null.",
    "read": "Read one {}.",
    "update": "Change the fields of a {} that are sent; `null` clears a field.",
    "delete": "Delete a {} permanently.",
}


def _without_body(endpoint: Callable[[Request], Awaitable[Response]]) -> _Endpoint:
    """A function of its own, which can carry terms, where a bound method cannot."""

    async def without_body(request: Request) -> Response:
        return await endpoint(request)

    return without_body


def _with_body(endpoint: Callable[[Request, Any], Awaitable[Response]], model: type[BaseModel]) -> _Endpoint:
    """FastAPI reads the body's model from the annotation, which only the resource knows."""

    async def with_body(request: Request, body: BaseModel) -> Response:
        return await endpoint(request, body)

    with_body.__annotations__["body"] = model
    return with_body
