"""Reads an event's envelope and customer. The object in it is not trusted (docs/decisions/0008).

Source: https://docs.stripe.com/api/events/object.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from billing.settings import StripeSettings
from tenants.errors import ErrorKind, TenantryError

_RELEVANT = ("customer.subscription.", "customer.deleted", "checkout.session.", "invoice.")
EventId = Annotated[str, StringConstraints(pattern=r"^evt_[A-Za-z0-9_]{1,250}$")]
Short = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class _Data(BaseModel):
    object: dict[str, Any]


class _Envelope(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    id: EventId
    object: Literal["event"]
    type: Short
    account: Short | None = None
    livemode: bool
    created: Annotated[int, Field(ge=0, le=253_402_300_799)]
    data: _Data


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event with a valid signature."""

    id: str
    type: str
    account: str | None
    livemode: bool
    created: datetime
    customer: str | None  # cus_… of the event's object


def read_event(raw: bytes) -> ReceivedEvent:
    """Parse a body whose signature was valid. Raises EventUnreadable."""
    try:
        envelope = _Envelope.model_validate_json(raw)
    except ValidationError as error:
        raise EventUnreadable(detail=f"not an event: {error.error_count()} errors") from error
    return ReceivedEvent(
        id=envelope.id,
        type=envelope.type,
        account=envelope.account,
        livemode=envelope.livemode,
        created=datetime.fromtimestamp(envelope.created, UTC),
        customer=_customer_of(envelope.data.object),
    )


class EventUnreadable(TenantryError):
    """Signed with our secret but not a snapshot event (such as a thin event): the endpoint is misconfigured."""

    kind = ErrorKind.MALFORMED
    code = "event_unreadable"
    title = "Event unreadable"
    message = "The body is not a Stripe snapshot event. Check the configuration of the webhook endpoint."


def reason_to_ignore(event: ReceivedEvent, settings: StripeSettings) -> str | None:
    """Why this event is ignored; None when it is relevant (SI2)."""
    if event.livemode != settings.livemode:
        return "livemode does not match this deployment"
    if event.account != settings.account:
        return "another Stripe account"
    if not event.type.startswith(_RELEVANT):
        return "event type does not affect plans"
    return None if event.customer else "no customer in the event"


def _customer_of(subject: dict[str, Any]) -> str | None:
    customer = subject.get("id") if subject.get("object") == "customer" else subject.get("customer")
    if isinstance(customer, dict):  # expanded
        customer = customer.get("id")
    return customer if isinstance(customer, str) and customer.startswith("cus_") else None
