"""Events: what changed, kept for 30 days, and owed to every webhook endpoint that asked for its type.

Source: https://docs.stripe.com/api/events and https://docs.stripe.com/api/events/types.
``POST /v1/events/{id}/retry`` is what ``stripe events resend`` calls: it sends the event again.
"""

from typing import Any

from gateway.development.stripe.endpoint import AnyEndpoint, Endpoint
from gateway.development.stripe.ids import new_id
from gateway.development.stripe.objects import expand, find, page
from gateway.development.stripe.parameters import Array, Boolean, Expandable, Page, Text
from gateway.development.stripe.state import Change, Record
from gateway.development.stripe.version import SERVED_VERSION


class EventList(Page):
    type: Text | None = None
    types: Array[Text] | None = None
    delivery_success: Boolean | None = None


class EventRetry(Expandable):
    webhook_endpoint: Text | None = None


def record_event(change: Change, kind: str, about: Record, before: Record | None = None) -> None:
    """Write the event into the same change as what it tells, with a delivery for each endpoint that wants it.

    ``before`` is the object as it was: ``data.previous_attributes`` holds what differs. An update that changed
    nothing tells nothing.
    """
    data: Record = {"object": about}
    if before is not None:
        previous = difference(before, about)
        if not previous:
            return
        data["previous_attributes"] = previous
    event = {
        "id": new_id("evt"),
        "object": "event",
        "api_version": SERVED_VERSION,
        "created": change.now,
        "data": data,
        "livemode": False,
        "pending_webhooks": 0,
        "request": {"id": change.cause.id, "idempotency_key": change.cause.idempotency_key},
        "type": kind,
    }
    event["pending_webhooks"] = _owe(change, event)
    change.put("events", event)


def difference(before: Record, after: Record) -> dict[str, Any]:
    """The old values of what changed: of a nested object its changed members only, of a list object its whole data."""
    changed: dict[str, Any] = {}
    for name in before | after:
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            changed[name] = {"data": old["data"]} if old.get("object") == "list" else difference(old, new)
        else:
            changed[name] = old
    return changed


def _owe(change: Change, event: Record) -> int:
    owed = [each["id"] for each in change.newest_first("webhook_endpoints") if _wants(each, event["type"])]
    for endpoint_id in owed:
        _add_delivery(change, event["id"], endpoint_id)
    return len(owed)


def _wants(endpoint: Record, kind: str) -> bool:
    names = endpoint["enabled_events"]
    return endpoint["status"] == "enabled" and ("*" in names or kind in names)


def _add_delivery(change: Change, event_id: str, endpoint_id: str) -> None:
    delivery = {
        "id": new_id("wd"),
        "event": event_id,
        "endpoint": endpoint_id,
        "attempts": 0,
        "first": change.now,
        "due": change.now,
    }
    change.put("deliveries", delivery)


def _list(change: Change, given: EventList, _: str) -> Record:
    kinds = set(given.types or ([given.type] if given.type else []))

    def keep(event: Record) -> bool:
        delivered = event["pending_webhooks"] == 0
        return (not kinds or any(_matches(event["type"], each) for each in kinds)) and (
            given.delivery_success in {None, delivered}
        )

    return expand(change, page(change, "events", given, keep), given.expand)


def _matches(kind: str, wanted: str) -> bool:
    return kind.startswith(wanted[:-1]) if wanted.endswith(".*") else kind == wanted


def _retrieve(change: Change, given: Expandable, event_id: str) -> Record:
    return expand(change, find(change, "events", event_id), given.expand)


def _retry(change: Change, given: EventRetry, event_id: str) -> Record:
    event = find(change, "events", event_id)
    if given.webhook_endpoint:
        find(change, "webhook_endpoints", given.webhook_endpoint, "webhook_endpoint")
        _add_delivery(change, event_id, given.webhook_endpoint)
    else:
        _owe(change, event)
    return event


ENDPOINTS: tuple[AnyEndpoint, ...] = (
    Endpoint("GET", "/events", EventList, _list),
    Endpoint("GET", "/events/{id}", Expandable, _retrieve),
    Endpoint("POST", "/events/{id}/retry", EventRetry, _retry),
)
