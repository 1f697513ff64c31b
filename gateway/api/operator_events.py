"""``/operator/v1/events``: Stripe's events as they came, and what became of each."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from billing.stripe_events.inbox import StripeInbox
from billing.stripe_events.models import StripeEvent
from gateway.api.answers import answered, read
from gateway.api.conditions import TAGGED
from gateway.api.pages import Page, PageQuery
from gateway.authorization.guards import requires_operator
from gateway.request.entity_tags import Tagged, representation_of
from gateway.routing.strict_route import StrictRoute
from gateway.services import Services, services_of
from tenants.cursors import SignedCursors
from tenants.errors import NotFound

_PATH = "/operator/v1/events"
_ONE = f"{_PATH}/{{event_id}}"
Status = Literal["received", "applied", "ignored", "failed"]


class EventQuery(PageQuery):
    """Query of the list."""

    status: Status | None = None


class EventShown(BaseModel):
    """An event. ``failed`` ones are tried again by themselves for some hours, and can be replayed."""

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


class EventDetail(EventShown):
    """An event with all that Stripe sent."""

    payload: dict[str, Any]

    @classmethod
    def of(cls, event: StripeEvent) -> "EventDetail":
        """The row, its payload read."""
        return cls(**EventShown.model_validate(event).model_dump(), payload=orjson.loads(event.payload))


_REPRESENTATION = representation_of(EventDetail)

router = APIRouter(route_class=StrictRoute, tags=["operator: events"])


@router.get(_PATH, response_model=Page[EventShown], dependencies=[Depends(requires_operator)])
async def list_events(request: Request, query: Annotated[EventQuery, Query()]) -> Response:
    """Stripe's events, the last received first."""
    services, inbox = services_of(request), _inbox(request)
    cursors = _cursors(services, query.status)
    async with services.database.control() as session:
        after = await inbox.read(session, cursors.read(query.cursor).decode()) if query.cursor else None
        rows = await inbox.page(session, query.status, after, query.limit + 1)
    return answered(_page(rows, query.limit, cursors))


@router.get(_ONE, response_model=EventDetail, dependencies=[Depends(requires_operator)], **TAGGED)
async def read_event(request: Request, event_id: str) -> Response:
    """One event, with its payload."""
    async with services_of(request).database.control() as session:
        event = await _inbox(request).read(session, event_id)
    return read(request, EventDetail.of(event), Tagged(_REPRESENTATION, event_id.encode()), event.version)


@router.post(f"{_ONE}/replay", response_model=EventShown, dependencies=[Depends(requires_operator)])
async def replay_event(request: Request, event_id: str) -> Response:
    """Apply an event again, whatever became of it. Doing so twice changes nothing more."""
    async with services_of(request).database.control() as session:
        event = await _inbox(request).replay(session, event_id)
    return answered(EventShown.model_validate(event))


def _page(rows: Sequence[StripeEvent], limit: int, cursors: SignedCursors) -> Page[EventShown]:
    shown = rows[:limit]
    following = cursors.write(shown[-1].id.encode()) if len(rows) > len(shown) else None
    return Page(
        data=[EventShown.model_validate(each) for each in shown],
        has_more=following is not None,
        next_cursor=following,
    )


def _inbox(request: Request) -> StripeInbox:
    stripe = services_of(request).features.stripe
    if stripe is None:
        raise NotFound(detail="billing is off: no Stripe key is set")
    return stripe.inbox


def _cursors(services: Services, status: Status | None) -> SignedCursors:
    """A page ends with the id of its last event, under one filter."""
    return SignedCursors(services.settings.secret, f"stripe-events {status}".encode())
