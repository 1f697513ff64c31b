"""``/v1/audit-events``: the tenant's audit log, listed, read and exported."""

import csv
import io
from collections.abc import AsyncIterator, Iterable
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError
from starlette.responses import StreamingResponse

from gateway.api.answers import answered_document, read_document
from gateway.api.pages import ListCursors, ListQuery, Page, page_of_documents
from gateway.api.path_ids import EventInPath
from gateway.authorization.guards import requires
from gateway.request.context import principal_of
from gateway.request.entity_tags import Tagged, representation_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import Services, services_of
from tenants.audit.schemas import COLUMNS, AuditEventResponse, ExportFormat, Renderer, any_id
from tenants.events.models import Category
from tenants.events.repository import EventFilter, StoredEvent
from tenants.identifiers import USER, example_of
from tenants.principal import ActorKind
from tenants.values.timestamps import Timestamp

_PATH = "/v1/audit-events"
_REPRESENTATION = representation_of(AuditEventResponse)
_MEDIA_TYPES = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}
_EXAMPLES = {
    "jsonl": '{"id":"evt_01kc2q7v8ze1rb9m3x5w6t0h4d","sequence":1042,"action":"api_keys.revoked"}\n',
    "csv": "id,sequence,action\r\nevt_01kc2q7v8ze1rb9m3x5w6t0h4d,1042,api_keys.revoked\r\n",
}
_EXPORTED = {
    media_type: {"schema": {"type": "string"}, "example": _EXAMPLES[name]} for name, media_type in _MEDIA_TYPES.items()
}


def _id(value: object) -> object:
    found = any_id(value) if isinstance(value, str) else None
    if found is None:
        raise PydanticCustomError("bad_format", "Must be an id.")
    return found


AnyId = Annotated[
    UUID, BeforeValidator(_id), WithJsonSchema({"type": "string", "format": "typeid", "examples": [example_of(USER)]})
]


class Between(BaseModel):
    """Events of a time."""

    since: Annotated[
        Timestamp | None, Field(alias="created_at[gte]", description="Created at this time or later (RFC 3339).")
    ] = None
    until: Annotated[
        Timestamp | None, Field(alias="created_at[lt]", description="Created before this time (RFC 3339).")
    ] = None


class AuditFilters(Between):
    """Which events; all that are given must hold."""

    model_config = ConfigDict(extra="forbid")

    action: Annotated[
        str | None, Field(max_length=200, description="Only this action, such as `api_keys.revoked`.")
    ] = None
    category: Annotated[Category | None, Field(description="Only this category.")] = None
    actor_kind: Annotated[ActorKind | None, Field(description="Only what actors of this kind did.")] = None
    actor: Annotated[AnyId | None, Field(description="Only what this actor did.")] = None
    object: Annotated[AnyId | None, Field(description="Only events of this object.")] = None

    def selected(self) -> EventFilter:
        """As the repository takes them."""
        return EventFilter(
            type=self.action,
            category=self.category,
            object_id=self.object,
            actor_kind=self.actor_kind,
            actor_id=self.actor,
            since=self.since,
            until=self.until,
        )


class AuditQuery(AuditFilters, ListQuery):
    """Query of the audit log."""


class AuditExport(AuditFilters):
    """Query of an export."""

    format: Annotated[ExportFormat, Field(description="JSON Lines, or CSV with a line of headings.")] = "jsonl"


router = ManagementRouter(tags=["audit log"])


@router.get(_PATH, response_model=Page[AuditEventResponse])
@terms(requires("audit:read"))
async def list_audit_events(request: Request, query: Annotated[AuditQuery, Query()]) -> Response:
    """List the audit log. The newest event comes first, those that are not chained yet included.

    Every change by anyone is an event: of data with the values before and after, of members, roles, keys and plan;
    and so are sign-ins and refusals worth knowing, these at most once a minute for each object, with their number.
    """
    services, tenant = services_of(request), principal_of(request.scope).tenant
    cursors = ListCursors(services.settings.secret, "audit-events", tenant.id, query)
    rows = await services.features.audit_log.page(tenant, query.selected(), cursors.keyset())
    render = _renderer(services).json
    return answered_document(page_of_documents(rows, query.limit, render, cursors.after))


@router.get(
    f"{_PATH}/export",
    response_class=StreamingResponse,
    responses={200: {"content": _EXPORTED}},
)
@terms(requires("audit:read"), streams=True)
async def export_audit_events(request: Request, query: Annotated[AuditExport, Query()]) -> StreamingResponse:
    """Export the audit log. The oldest event comes first, up to the moment of the request.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    services, tenant = services_of(request), principal_of(request.scope).tenant
    batches, renderer = services.features.audit_log.stream(tenant, query.selected()), _renderer(services)
    parts = _csv(batches, renderer) if query.format == "csv" else _json_lines(batches, renderer)
    disposition = f'attachment; filename="audit-events.{query.format}"'
    headers = {"content-disposition": disposition, "cache-control": "no-store"}
    return StreamingResponse(parts, headers=headers, media_type=_MEDIA_TYPES[query.format])


@router.get(f"{_PATH}/{{event_id}}", response_model=AuditEventResponse)
@terms(requires("audit:read"), tagged=True)
async def read_audit_event(request: Request, event_id: EventInPath) -> Response:
    """Read one event of the audit log. It changes once, when it is chained."""
    services, tenant = services_of(request), principal_of(request.scope).tenant
    event = await services.features.audit_log.read(tenant, event_id)
    tagged = Tagged(_REPRESENTATION, event.id.bytes, tenant.id.bytes)
    return read_document(request, _renderer(services).json(event), tagged, 1 if event.hash is None else 2)


def _renderer(services: Services) -> Renderer:
    return Renderer({each.name: each.resource.singular for each in services.registry.collections})


async def _json_lines(batches: AsyncIterator[list[StoredEvent]], renderer: Renderer) -> AsyncIterator[bytes]:
    async for batch in batches:
        yield b"".join([renderer.json(event) + b"\n" for event in batch])


async def _csv(batches: AsyncIterator[list[StoredEvent]], renderer: Renderer) -> AsyncIterator[bytes]:
    yield _lines([COLUMNS])
    async for batch in batches:
        yield _lines(map(renderer.cells, batch))


def _lines(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
