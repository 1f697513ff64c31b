"""Objects of declared resources in the SaaS team's own endpoints, through the shared CRUD service.

So their changes run the resource's hooks, record the change event and count the version, as those of ``PATCH`` do.
"""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request, Response

from gateway.api.dependencies import CurrentSession
from gateway.data.models import model_name
from gateway.data.rendering import Renderer
from gateway.request.entity_tags import EntityTags, Tagged
from gateway.request.origin import origin_of
from gateway.services import services_of
from tenants.audit.origin import Origin
from tenants.crud import service
from tenants.crud.rows import StoredRow
from tenants.database.sessions import TenantSession
from tenants.resources.registry import Registry
from tenants.resources.resource import Resource

_MEDIA_TYPE = "application/json"
_PRIVATE = "private, no-cache"


class ObjectStore:
    """The objects of one tenant, in the transaction of the endpoint's ``CurrentSession``.

    ``values`` are by column; they are not validated, since the endpoint makes them. All raise NotFound for an unknown
    id, Conflict and ValidationFailed for what only the database can know.
    """

    def __init__(self, registry: Registry, tags: EntityTags, session: TenantSession, origin: Origin) -> None:
        self._registry = registry
        self._tags = tags
        self._session = session
        self._origin = origin

    async def create(self, resource: Resource, values: Mapping[str, object]) -> StoredRow:
        """A new object."""
        collection = self._registry[resource.name]
        return await service.create(self._session, collection, values, origin=self._origin)

    async def read(self, resource: Resource, row_id: UUID) -> StoredRow:
        """The object. Lock its row first where the endpoint decides by it."""
        return await service.read(self._session, self._registry[resource.name], row_id)

    async def update(self, resource: Resource, row_id: UUID, values: Mapping[str, object]) -> StoredRow:
        """Change these columns of the object."""
        collection = self._registry[resource.name]
        return await service.update(self._session, collection, row_id, values, None, origin=self._origin)

    async def delete(self, resource: Resource, row_id: UUID) -> None:
        """Delete the object. Raises Conflict while other objects refer to it."""
        collection = self._registry[resource.name]
        await service.delete(self._session, collection, row_id, None, origin=self._origin)

    def response(self, resource: Resource, row: StoredRow, status: int = 200) -> Response:
        """The object as ``GET /v1/<resource>/{id}`` returns it, with its ETag."""
        collection = self._registry[resource.name]
        tagged = Tagged(collection.fingerprint, row.id.bytes, self._session.tenant.id.bytes)
        headers = {"etag": self._tags.of(tagged, row.version), "cache-control": _PRIVATE}
        return Response(Renderer(collection).one(row), status, headers, _MEDIA_TYPE)


async def _objects(request: Request, session: CurrentSession) -> ObjectStore:
    services = services_of(request)
    return ObjectStore(services.registry, services.tags, session, origin_of(request))


Objects = Annotated[ObjectStore, Depends(_objects)]


def documented_as(resource: Resource, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """``responses=documented_as(deals)``: the OpenAPI document shows the resource's own schema."""
    schema = {"$ref": f"#/components/schemas/{model_name(resource)}"}
    return {status: {"content": {_MEDIA_TYPE: {"schema": schema}}}}
