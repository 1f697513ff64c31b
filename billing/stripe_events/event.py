"""What we read of an event: its envelope, and whose it is. What it says of the object is never believed (decision 7).

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
    """An event whose signature was right."""

    id: str
    type: str
    account: str | None
    livemode: bool
    created: datetime
    customer: str | None  # cus_… of the object that it is about


def read_event(raw: bytes) -> ReceivedEvent:
    """The event in a body whose signature was right. Raises EventUnreadable."""
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
    """Signed with our secret and yet no snapshot event, such as a thin event: the endpoint is set up otherwise."""

    kind = ErrorKind.MALFORMED
    code = "event_unreadable"
    title = "Event unreadable"
    message = "The body is not an event of the kind that this endpoint takes."


def reason_to_ignore(event: ReceivedEvent, settings: StripeSettings) -> str | None:
    """Why this event can change nothing here; None when it may (SI2)."""
    if event.livemode != settings.livemode:
        return "its livemode is not ours"
    if event.account != settings.account:
        return "it is of another account"
    if not event.type.startswith(_RELEVANT):
        return "its type changes no plan"
    return None if event.customer else "it names no customer"


def _customer_of(about: dict[str, Any]) -> str | None:
    named = about.get("id") if about.get("object") == "customer" else about.get("customer")
    if isinstance(named, dict):  # expanded
        named = named.get("id")
    return named if isinstance(named, str) and named.startswith("cus_") else None
