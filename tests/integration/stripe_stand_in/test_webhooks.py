"""Events are stored, signed, and delivered until the response is 2xx."""

import json
from itertools import pairwise
from typing import Any

import pytest
import stripe
from stripe import StripeClient, WebhookSignature

from tests.fixtures.stripe import StripeFactory, WebhookInbox, eventually, sdk_of


def _register(client: StripeClient, inbox: WebhookInbox, *events: Any) -> str:
    made = client.v1.webhook_endpoints.create({"url": inbox.url, "enabled_events": list(events) or ["*"]})
    assert made.secret is not None
    return made.secret


def _bodies(inbox: WebhookInbox, count: int) -> list[dict[str, Any]]:
    return [json.loads(each.body) for each in inbox.wait_for(count)]


def test_a_webhook_has_a_signature_that_the_official_sdk_accepts(
    start_stripe: StripeFactory, webhook_inbox: WebhookInbox
) -> None:
    client = sdk_of(start_stripe())
    secret = _register(client, webhook_inbox)
    customer = client.v1.customers.create({"email": "ada@example.com"})
    (delivered,) = webhook_inbox.wait_for(1)
    event = client.construct_event(delivered.body, delivered.signature, secret)
    assert (event.type, event.data.object["id"]) == ("customer.created", customer.id)
    assert event.request is not None
    assert customer.last_response is not None
    assert event.request.id == customer.last_response.request_id
    with pytest.raises(stripe.SignatureVerificationError):
        WebhookSignature.verify_header(delivered.body, delivered.signature, "whsec_of_another", 300)


def test_a_rejected_webhook_is_retried_with_back_off_and_a_new_signature(
    start_stripe: StripeFactory, webhook_inbox: WebhookInbox
) -> None:
    client = sdk_of(start_stripe())
    _register(client, webhook_inbox)
    webhook_inbox.answers = [500, 302, 404, 200]
    client.v1.customers.create()
    tries = webhook_inbox.wait_for(4)
    assert len({each.body for each in tries}) == 1
    pauses = [later.at - earlier.at for earlier, later in pairwise(tries)]
    assert all(pause >= wanted for pause, wanted in zip(pauses, (0.05, 0.1, 0.2), strict=True)), pauses


def test_an_event_counts_its_pending_webhooks(start_stripe: StripeFactory, webhook_inbox: WebhookInbox) -> None:
    client = sdk_of(start_stripe())
    _register(client, webhook_inbox)
    client.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/dead", "enabled_events": ["*"]})
    client.v1.customers.create()
    (body,) = _bodies(webhook_inbox, 1)
    assert body["pending_webhooks"] == 2
    eventually(lambda: client.v1.events.retrieve(body["id"]).pending_webhooks == 1)


def test_an_endpoint_receives_the_types_that_it_has_subscribed_to(
    start_stripe: StripeFactory, webhook_inbox: WebhookInbox
) -> None:
    client = sdk_of(start_stripe())
    _register(client, webhook_inbox, "customer.updated")
    customer = client.v1.customers.create({"name": "Ada"})
    client.v1.customers.update(customer.id, {"name": "Ada"})  # nothing changed: no event
    client.v1.customers.update(customer.id, {"name": "Grace"})
    (body,) = _bodies(webhook_inbox, 1)
    assert (body["type"], body["data"]["previous_attributes"]) == ("customer.updated", {"name": "Ada"})


def test_changes_of_a_subscription_create_events(start_stripe: StripeFactory) -> None:
    client = sdk_of(start_stripe())
    price = client.v1.prices.create(
        {"currency": "usd", "unit_amount": 5, "recurring": {"interval": "month"}, "product_data": {"name": "Pro"}}
    )
    customer = client.v1.customers.create()
    bought = client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
    client.v1.subscriptions.update(bought.id, {"cancel_at_period_end": True})
    client.v1.subscriptions.cancel(bought.id)
    told = client.v1.events.list({"types": ["customer.subscription.*"]}).data
    assert [each.type.rpartition(".")[2] for each in told] == ["deleted", "updated", "created"]
    assert told[0].data.object["status"] == "canceled"


def test_an_event_can_be_resent(start_stripe: StripeFactory, webhook_inbox: WebhookInbox) -> None:
    client = sdk_of(start_stripe())
    _register(client, webhook_inbox)
    client.v1.customers.create()
    (first,) = _bodies(webhook_inbox, 1)
    client.raw_request("post", f"/v1/events/{first['id']}/retry")
    assert {each["id"] for each in _bodies(webhook_inbox, 2)} == {first["id"]}


def test_state_and_undelivered_webhooks_survive_a_kill(
    start_stripe: StripeFactory, webhook_inbox: WebhookInbox
) -> None:
    server = start_stripe()
    client = sdk_of(server)
    secret = _register(client, webhook_inbox)
    webhook_inbox.answers = [503] * 3
    customer = client.v1.customers.create({"name": "Ada"})
    webhook_inbox.wait_for(1)
    server.kill()
    webhook_inbox.answers = []
    seen = len(webhook_inbox.received)
    server.start()
    delivered = webhook_inbox.wait_for(seen + 1)[-1]
    assert sdk_of(server).v1.customers.retrieve(customer.id).name == "Ada"
    assert client.construct_event(delivered.body, delivered.signature, secret).data.object["id"] == customer.id
