"""``/operator/v1/events``: the Stripe events received, and the result of each."""

from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.stripe_events.inbox import StripeInbox
from billing.stripe_events.models import StripeEvent
from gateway.api.answers import answered, read
from gateway.api.pages import Page, PageQuery, page_of
from gateway.authorization.guards import requires_operator, requires_operator_read
from gateway.request.entity_tags import Tagged, representation_of
from gateway.routing.api_router import ManagementRouter
from gateway.routing.terms import terms
from gateway.services import Services, services_of
from tenants.cursors import SignedCursors
from tenants.errors import NotFound

_PATH = "/operator/v1/events"
_ONE = f"{_PATH}/{{event_id}}"
Status = Literal["received", "applied", "ignored", "failed"]
_EXAMPLE = "evt_1QxYz2Ab3Cd4Ef5G"


EventInPath = Annotated[str, Path(description="Stripe's id of the event.", examples=[_EXAMPLE])]


class StripeEventQuery(PageQuery):
    """Query of the list."""

    status: Annotated[Status | None, Field(description="Only events with this status.")] = None


class StripeEventResponse(BaseModel):
    """A Stripe event. A ``failed`` one is retried for some hours, and can be replayed."""

    id: Annotated[str, Field(examples=[_EXAMPLE])]
    type: Annotated[str, Field(examples=["customer.subscription.updated"])]
    account: Annotated[str | None, Field(description="The connected account, if any.", examples=[None])]
    livemode: bool
    created: Annotated[datetime, Field(description="By Stripe's clock.")]
    received_at: datetime
    status: Annotated[Status, Field(examples=["applied"])]
    attempts: Annotated[int, Field(examples=[1])]
    last_error: Annotated[str | None, Field(examples=[None])]
    applied_at: datetime | None

    model_config = ConfigDict(from_attributes=True)


class StripeEventDetail(StripeEventResponse):
    """A Stripe event with its payload."""

    payload: Annotated[
        dict[str, Any],
        Field(examples=[{"id": _EXAMPLE, "object": "event", "type": "customer.subscription.updated"}]),
    ]

    @classmethod
    def of(cls, event: StripeEvent) -> "StripeEventDetail":
        """The response for this row, its payload parsed."""
        return cls(**StripeEventResponse.model_validate(event).model_dump(), payload=orjson.loads(event.payload))


_REPRESENTATION = representation_of(StripeEventDetail)

router = ManagementRouter(tags=["Stripe events"])


@router.get(_PATH, response_model=Page[StripeEventResponse])
@terms(requires_operator_read)
async def list_stripe_events(request: Request, query: Annotated[StripeEventQuery, Query()]) -> Response:
    """List Stripe events. The last received comes first."""
    services, inbox = services_of(request), _inbox(request)
    cursors = _cursors(services, query.status)
    last = None if query.cursor is None else cursors.read(query.cursor).decode()
    async with services.database.control() as session:
        after = None if last is None else await inbox.read(session, last)
        rows = await inbox.page(session, query.status, after, query.limit + 1)
    page = page_of(
        rows, query.limit, StripeEventResponse.model_validate, lambda event: cursors.write(event.id.encode())
    )
    return answered(page)


@router.get(_ONE, response_model=StripeEventDetail)
@terms(requires_operator_read, tagged=True)
async def read_stripe_event(request: Request, event_id: EventInPath) -> Response:
    """Read one Stripe event. The response has its payload."""
    async with services_of(request).database.control() as session:
        event = await _inbox(request).read(session, event_id)
    return read(request, StripeEventDetail.of(event), Tagged(_REPRESENTATION, event_id.encode()), event.version)


@router.post(f"{_ONE}/replay", response_model=StripeEventResponse)
@terms(requires_operator)
async def replay_stripe_event(request: Request, event_id: EventInPath) -> Response:
    """Replay a Stripe event. It is applied again, whatever its status; repeated replays change nothing more."""
    async with services_of(request).database.control() as session:
        event = await _inbox(request).replay(session, event_id)
    return answered(StripeEventResponse.model_validate(event))


def _inbox(request: Request) -> StripeInbox:
    stripe = services_of(request).features.stripe
    if stripe is None:
        raise NotFound(detail="billing is off: no Stripe key is set")
    return stripe.inbox


def _cursors(services: Services, status: Status | None) -> SignedCursors:
    """A page ends with the id of its last event, with one filter."""
    return SignedCursors(services.settings.secret, f"stripe-events {status}".encode())
