"""``/operator/v1/events``: the Stripe events received, and the result of each."""

from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict

from billing.stripe_events.inbox import StripeInbox
from billing.stripe_events.models import StripeEvent
from gateway.api.answers import answered, read
from gateway.api.pages import Page, PageQuery, page_of
from gateway.authorization.guards import requires_operator, requires_operator_read
from gateway.request.entity_tags import Tagged, representation_of
from gateway.routing.api_router import APIRouter
from gateway.routing.terms import terms
from gateway.services import Services, services_of
from tenants.cursors import SignedCursors
from tenants.errors import NotFound

_PATH = "/operator/v1/events"
_ONE = f"{_PATH}/{{event_id}}"
Status = Literal["received", "applied", "ignored", "failed"]


class EventQuery(PageQuery):
    """Query of the list."""

    status: Status | None = None


class EventResponse(BaseModel):
    """A Stripe event. A ``failed`` one is retried for some hours, and can be replayed."""

    id: str
    type: str
    account: str | None
    livemode: bool
    created: datetime  # Stripe's clock
    received_at: datetime
    status: Status
    attempts: int
    last_error: str | None
    applied_at: datetime | None

    model_config = ConfigDict(from_attributes=True)


class EventDetail(EventResponse):
    """A Stripe event with its payload."""

    payload: dict[str, Any]

    @classmethod
    def of(cls, event: StripeEvent) -> "EventDetail":
        """The response for this row, its payload parsed."""
        return cls(**EventResponse.model_validate(event).model_dump(), payload=orjson.loads(event.payload))


_REPRESENTATION = representation_of(EventDetail)

router = APIRouter(tags=["operator: events"])


@router.get(_PATH, response_model=Page[EventResponse])
@terms(requires_operator_read)
async def list_events(request: Request, query: Annotated[EventQuery, Query()]) -> Response:
    """List Stripe events, last received first."""
    services, inbox = services_of(request), _inbox(request)
    cursors = _cursors(services, query.status)
    last = None if query.cursor is None else cursors.read(query.cursor).decode()
    async with services.database.control() as session:
        after = None if last is None else await inbox.read(session, last)
        rows = await inbox.page(session, query.status, after, query.limit + 1)
    page = page_of(rows, query.limit, EventResponse.model_validate, lambda event: cursors.write(event.id.encode()))
    return answered(page)


@router.get(_ONE, response_model=EventDetail)
@terms(requires_operator_read, tagged=True)
async def read_event(request: Request, event_id: str) -> Response:
    """Read one Stripe event with its payload."""
    async with services_of(request).database.control() as session:
        event = await _inbox(request).read(session, event_id)
    return read(request, EventDetail.of(event), Tagged(_REPRESENTATION, event_id.encode()), event.version)


@router.post(f"{_ONE}/replay", response_model=EventResponse)
@terms(requires_operator)
async def replay_event(request: Request, event_id: str) -> Response:
    """Apply a Stripe event again, whatever its status. Repeated replays change nothing more."""
    async with services_of(request).database.control() as session:
        event = await _inbox(request).replay(session, event_id)
    return answered(EventResponse.model_validate(event))


def _inbox(request: Request) -> StripeInbox:
    stripe = services_of(request).features.stripe
    if stripe is None:
        raise NotFound(detail="billing is off: no Stripe key is set")
    return stripe.inbox


def _cursors(services: Services, status: Status | None) -> SignedCursors:
    """A page ends with the id of its last event, with one filter."""
    return SignedCursors(services.settings.secret, f"stripe-events {status}".encode())
