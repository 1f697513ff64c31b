"""``GET /v1/usage``: the tenant's usage by minute, hour or day."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from billing.usage import query as usage
from billing.usage.query import Granularity, Group, PagePosition, Period
from billing.usage.repository import UsageTotal
from billing.usage.schemas import UsageResponse
from gateway.api.pages import Page, PageQuery, page_of
from gateway.authorization.guards import requires
from gateway.request.context import principal_of
from gateway.routing.api_router import APIRouter
from gateway.routing.terms import terms
from gateway.services import services_of
from tenants.cursors import SignedCursors
from tenants.identifiers import API_KEY, USER, read
from tenants.values.timestamps import Timestamp

_NO_STORE = {"cache-control": "no-store"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _caller(value: object) -> object:
    found = (read(API_KEY, value) or read(USER, value)) if isinstance(value, str) else None
    if found is None:
        raise PydanticCustomError("bad_format", "Must be the id of an API key or of a user.")
    return found


class UsageQuery(PageQuery):
    """Query of the usage. The range is widened to whole buckets."""

    since: Annotated[
        Timestamp | None,
        Field(
            alias="from",
            description="Start of the range (RFC 3339). Default: an hour, a day or 30 days earlier.",
        ),
    ] = None
    until: Annotated[
        Timestamp | None, Field(alias="to", description="End of the range, exclusive (RFC 3339). Default: now.")
    ] = None
    granularity: Annotated[
        Granularity,
        Field(description="Length of a bucket, in UTC. Longest ranges: 1 day of minutes, 31 days of hours, 366 days."),
    ] = Granularity.HOUR
    group_by: Annotated[Group, Field(description="Dimension that divides each bucket.")] = Group.NONE
    key: Annotated[
        UUID | None,
        BeforeValidator(_caller),
        Field(description="Only requests of this API key or user.", json_schema_extra={"format": "typeid"}),
    ] = None
    route: Annotated[
        str | None,
        Field(max_length=200, description="Only requests of this route template, such as `/v1/contacts/{id}`."),
    ] = None


router = APIRouter(tags=["usage"])


@router.get("/v1/usage", response_model=Page[UsageResponse])
@terms(requires("usage:read"))
async def read_usage(request: Request, query: Annotated[UsageQuery, Query()]) -> Response:
    """List usage, earliest bucket first. Buckets without requests are left out.

    A request counts once the plan's limits admit it, in the minute of its response. Requests of the last seconds may
    not be included yet.
    """
    services, tenant = services_of(request), principal_of(request.scope).tenant
    cursors = _Cursors(services.settings.secret, tenant.id, query)
    selection = usage.UsageQuery(
        tenant=tenant.id,
        period=Period.of(query.since, query.until, query.granularity, datetime.now(UTC)),
        group=query.group_by,
        count=query.limit + 1,
        principal=query.key,
        route=query.route,
        after=None if query.cursor is None else cursors.read(query.cursor),
    )
    async with services.database.control(tenant) as session:
        rows = await services.features.usage.read(session, selection)
    return _answer(rows, query, cursors)


def _answer(rows: list[UsageTotal], query: UsageQuery, cursors: "_Cursors") -> Response:
    page = page_of(rows, query.limit, lambda row: UsageResponse.of(row, query.group_by), cursors.write)
    # Rows have a member for the dimension that groups them, and for no other.
    body = page.model_dump_json(exclude_unset=True)
    return Response(body, headers=_NO_STORE, media_type="application/json")


class _Cursors:
    """Cursors of one query of one tenant: the bucket and group value of the page's last row."""

    def __init__(self, secret: bytes, tenant: UUID, query: UsageQuery) -> None:
        filters: dict[str, Any] = query.model_dump(mode="json", exclude={"cursor", "limit"})
        self._cursors = SignedCursors(secret, f"usage {tenant} {sorted(filters.items())}".encode())
        self._group = query.group_by

    def write(self, row: UsageTotal) -> str:
        seconds = int((row.start - _EPOCH).total_seconds())
        return self._cursors.write(f"{seconds} {'' if row.value is None else row.value}".encode())

    def read(self, cursor: str) -> PagePosition:
        """Raises BadCursor."""
        seconds, _, value = self._cursors.read(cursor).decode().partition(" ")
        return PagePosition(datetime.fromtimestamp(int(seconds), UTC), self._value(value))

    def _value(self, text: str) -> UUID | str | int | None:
        match self._group:
            case Group.NONE:
                return None
            case Group.KEY:
                return UUID(text)
            case Group.STATUS:
                return int(text)
            case Group.ROUTE:
                return text
