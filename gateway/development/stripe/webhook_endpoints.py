"""Webhook endpoints. Source: https://docs.stripe.com/api/webhook_endpoints. The secret is returned at creation only."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from gateway.development.stripe.errors import StripeError
from gateway.development.stripe.objects import expand, find, page
from gateway.development.stripe.parameters import (
    Array,
    Boolean,
    Clearable,
    Expandable,
    Metadata,
    Page,
    Parameters,
    Text,
    merge_metadata,
)
from gateway.development.stripe.requests import AnyEndpoint, Endpoint, negotiate
from gateway.development.stripe.state import Change, Record, new_id

EventNames = Annotated[Array[Text], Field(min_length=1)]


class EndpointCreate(Expandable):
    api_version: Text | None = None
    description: Clearable[Text] = None
    enabled_events: EventNames
    metadata: Metadata = None
    url: Text


class EndpointUpdate(Expandable):
    description: Clearable[Text] = None
    disabled: Boolean | None = None
    enabled_events: EventNames | None = None
    metadata: Metadata = None
    url: Text | None = None


def _create(change: Change, given: EndpointCreate, _: str) -> Record:
    endpoint = {
        "id": new_id("we"),
        "object": "webhook_endpoint",
        "api_version": given.api_version and negotiate(given.api_version),
        "application": None,
        "created": change.now,
        "description": given.description,
        "enabled_events": given.enabled_events,
        "livemode": False,
        "metadata": merge_metadata({}, given.metadata),
        "secret": new_id("whsec"),
        "status": "enabled",
        "url": _checked(given.url),
    }
    change.put("webhook_endpoints", endpoint)
    return endpoint


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise StripeError("Invalid URL: an http or https URL is needed.", code="url_invalid", param="url")
    return url


def _retrieve(change: Change, given: Expandable, endpoint_id: str) -> Record:
    return expand(change, _without_secret(find(change, "webhook_endpoints", endpoint_id)), given.expand)


def _update(change: Change, given: EndpointUpdate, endpoint_id: str) -> Record:
    endpoint = find(change, "webhook_endpoints", endpoint_id)
    endpoint |= {name: value for name, value in given.given("description", "enabled_events").items() if value != []}
    if given.url:
        endpoint["url"] = _checked(given.url)
    if given.disabled is not None:
        endpoint["status"] = "disabled" if given.disabled else "enabled"
    if "metadata" in given.model_fields_set:
        endpoint["metadata"] = merge_metadata(endpoint["metadata"], given.metadata)
    change.put("webhook_endpoints", endpoint)
    return _without_secret(endpoint)


def _delete(change: Change, _given: Parameters, endpoint_id: str) -> Record:
    find(change, "webhook_endpoints", endpoint_id)
    change.remove("webhook_endpoints", endpoint_id)
    return {"id": endpoint_id, "object": "webhook_endpoint", "deleted": True}


def _list(change: Change, given: Page, _: str) -> Record:
    found = page(change, "webhook_endpoints", given)
    return found | {"data": [_without_secret(each) for each in found["data"]]}


def _without_secret(endpoint: Record) -> Record:
    return {name: value for name, value in endpoint.items() if name != "secret"}


ENDPOINTS: tuple[AnyEndpoint, ...] = (
    Endpoint("POST", "/webhook_endpoints", EndpointCreate, _create),
    Endpoint("GET", "/webhook_endpoints", Page, _list),
    Endpoint("GET", "/webhook_endpoints/{id}", Expandable, _retrieve),
    Endpoint("POST", "/webhook_endpoints/{id}", EndpointUpdate, _update),
    Endpoint("DELETE", "/webhook_endpoints/{id}", Parameters, _delete),
)
