"""The five endpoints of a resource: parse, one service call, answer."""

from dataclasses import dataclass
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from gateway.data.models import sent_values
from gateway.data.rendering import Renderer
from gateway.request.context import principal_of
from gateway.request.entity_tags import EntityTags, Tagged, Versions
from gateway.request.origin import origin_of
from gateway.routing.query import split_query
from gateway.services import services_of
from tenants.crud import service
from tenants.crud.pages import Cursors
from tenants.crud.query import read_query
from tenants.crud.rows import StoredRow
from tenants.database.sessions import TenantWork
from tenants.principal import TenantRef
from tenants.resources.collection import Collection

_MEDIA_TYPE = "application/json"
_PRIVATE = {"cache-control": "private, no-cache"}  # may be kept by the caller, and is asked for again each time


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Serves one resource."""

    collection: Collection
    cursors: Cursors
    tags: EntityTags
    renderer: Renderer
    path: str

    async def list(self, request: Request) -> Response:
        tenant = principal_of(request.scope).tenant
        query = read_query(self.collection, tenant.id, split_query(request.scope), self.cursors)
        page = await service.list_page(_work(request, tenant), query, self.cursors)
        return Response(self.renderer.page(page), headers=_PRIVATE, media_type=_MEDIA_TYPE)

    async def create(self, request: Request, body: BaseModel) -> Response:
        tenant = principal_of(request.scope).tenant
        work = _work(request, tenant)
        row = await service.create(work, self.collection, sent_values(body), origin=origin_of(request))
        response = self._answer(tenant, row, status=201)
        response.headers["location"] = f"{self.path}/{self.renderer.id_of(row)}"
        return response

    async def read(self, request: Request) -> Response:
        tenant = principal_of(request.scope).tenant
        row = await service.read(_work(request, tenant), self.collection, self._row_id(request))
        if self.tags.unchanged(self._tagged(tenant, row.id), row.version, request.scope):
            return Response(status_code=304, headers=self._headers(tenant, row))
        return self._answer(tenant, row)

    async def update(self, request: Request, body: BaseModel) -> Response:
        tenant, row_id = principal_of(request.scope).tenant, self._row_id(request)
        versions, work = self._versions(request, tenant, row_id), _work(request, tenant)
        changes, origin = sent_values(body), origin_of(request)
        row = await service.update(work, self.collection, row_id, changes, versions, origin=origin)
        return self._answer(tenant, row)

    async def delete(self, request: Request) -> Response:
        tenant, row_id = principal_of(request.scope).tenant, self._row_id(request)
        versions, work = self._versions(request, tenant, row_id), _work(request, tenant)
        await service.delete(work, self.collection, row_id, versions, origin=origin_of(request))
        return Response(status_code=204)

    def _row_id(self, request: Request) -> UUID:
        return service.row_id(self.collection, request.path_params["id"])

    def _tagged(self, tenant: TenantRef, row: UUID) -> Tagged:
        return Tagged(self.collection.fingerprint, row.bytes, tenant.id.bytes)

    def _versions(self, request: Request, tenant: TenantRef, row: UUID) -> Versions:
        return self.tags.expected(self._tagged(tenant, row), request.scope)

    def _headers(self, tenant: TenantRef, row: StoredRow) -> dict[str, str]:
        return {"etag": self.tags.of(self._tagged(tenant, row.id), row.version), **_PRIVATE}

    def _answer(self, tenant: TenantRef, row: StoredRow, status: int = 200) -> Response:
        return Response(self.renderer.one(row), status, self._headers(tenant, row), _MEDIA_TYPE)


def _work(request: Request, tenant: TenantRef) -> TenantWork:
    """Each verb is one transaction in one round trip, committed before the answer is made."""
    return services_of(request).database.statements(tenant)
