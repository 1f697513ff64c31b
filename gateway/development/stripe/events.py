"""Events: kept for 30 days and delivered to every webhook endpoint that has subscribed to their type.

Source: https://docs.stripe.com/api/events and https://docs.stripe.com/api/events/types.
``POST /v1/events/{id}/retry`` is what ``stripe events resend`` calls: it delivers the event again.
"""

from typing import Any

from gateway.development.stripe.objects import expand, find, page
from gateway.development.stripe.parameters import Array, Boolean, Expandable, Page, Text
from gateway.development.stripe.requests import SERVED_VERSION, AnyEndpoint, Endpoint
from gateway.development.stripe.state import Change, Record, new_id


class EventList(Page):
    type: Text | None = None
    types: Array[Text] | None = None
    delivery_success: Boolean | None = None


class EventRetry(Expandable):
    webhook_endpoint: Text | None = None


def record_event(change: Change, kind: str, about: Record, before: Record | None = None) -> None:
    """Write the event in the same change as its object, with a delivery for each endpoint that has subscribed to it.

    ``before`` is the object before the change; ``data.previous_attributes`` holds the differences. An update that
    changes nothing writes no event.
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
    event["pending_webhooks"] = _add_deliveries(change, event)
    change.put("events", event)


def difference(before: Record, after: Record) -> dict[str, Any]:
    """The old values of changed members: of a nested object only those, of a list object all of its data."""
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


def _add_deliveries(change: Change, event: Record) -> int:
    receivers = [each["id"] for each in change.newest_first("webhook_endpoints") if _is_subscribed(each, event["type"])]
    for endpoint_id in receivers:
        _add_delivery(change, event["id"], endpoint_id)
    return len(receivers)


def _is_subscribed(endpoint: Record, kind: str) -> bool:
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


def _matches(kind: str, pattern: str) -> bool:
    return kind.startswith(pattern[:-1]) if pattern.endswith(".*") else kind == pattern


def _retrieve(change: Change, given: Expandable, event_id: str) -> Record:
    return expand(change, find(change, "events", event_id), given.expand)


def _retry(change: Change, given: EventRetry, event_id: str) -> Record:
    event = find(change, "events", event_id)
    if given.webhook_endpoint:
        find(change, "webhook_endpoints", given.webhook_endpoint, "webhook_endpoint")
        _add_delivery(change, event_id, given.webhook_endpoint)
    else:
        _add_deliveries(change, event)
    return event


ENDPOINTS: tuple[AnyEndpoint, ...] = (
    Endpoint("GET", "/events", EventList, _list),
    Endpoint("GET", "/events/{id}", Expandable, _retrieve),
    Endpoint("POST", "/events/{id}/retry", EventRetry, _retry),
)
