"""The official SDK works against the stand-in, which returns Stripe's documented shapes."""

from uuid import uuid4

import pytest
import stripe
from stripe import StripeClient


def _price(client: StripeClient, amount: int = 2000, interval: str = "month") -> stripe.Price:
    return client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": amount,
            "recurring": {"interval": interval},
            "product_data": {"name": f"Plan {amount}"},
        }
    )


def _subscribe(client: StripeClient, price: stripe.Price) -> stripe.Subscription:
    customer = client.v1.customers.create({"email": "buyer@example.com"})
    return client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})


def test_a_customer_can_be_created_read_changed_and_deleted(stripe_client: StripeClient) -> None:
    customers = stripe_client.v1.customers
    made = customers.create({"email": "ada@example.com", "metadata": {"tenant": "acme", "gone": "soon"}})
    assert made.id.startswith("cus_")
    changed = customers.update(made.id, {"name": "Ada", "metadata": {"gone": ""}})
    assert (changed.name, changed.email) == ("Ada", "ada@example.com")
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"tenant": "acme"}
    customers.delete(made.id)
    assert customers.retrieve(made.id).deleted is True


def test_a_subscribed_price_is_on_the_item_with_its_period(stripe_client: StripeClient) -> None:
    price = _price(stripe_client)
    bought = _subscribe(stripe_client, price)
    (item,) = bought["items"].data
    assert (bought.status, bought.currency, item.price.id) == ("active", "usd", price.id)
    assert 28 * 86400 <= item.current_period_end - item.current_period_start <= 31 * 86400
    assert bought.latest_invoice is None


def test_changing_the_price_of_an_item_keeps_item_and_period(stripe_client: StripeClient) -> None:
    bought = _subscribe(stripe_client, _price(stripe_client))
    bigger, item = _price(stripe_client, 9000), bought["items"].data[0]
    changed = stripe_client.v1.subscriptions.update(bought.id, {"items": [{"id": item.id, "price": bigger.id}]})
    (now,) = changed["items"].data
    assert (now.id, now.price.id, now.plan.id) == (item.id, bigger.id, bigger.id)
    assert now.current_period_end == item.current_period_end


def test_a_new_interval_starts_a_new_cycle(stripe_client: StripeClient) -> None:
    bought = _subscribe(stripe_client, _price(stripe_client))
    yearly, item = _price(stripe_client, 9000, "year"), bought["items"].data[0]
    changed = stripe_client.v1.subscriptions.update(bought.id, {"items": [{"id": item.id, "price": yearly.id}]})
    (now,) = changed["items"].data
    assert now.current_period_end - now.current_period_start >= 365 * 86400


def test_a_subscription_is_canceled_at_once_or_at_the_end_of_its_period(stripe_client: StripeClient) -> None:
    subscriptions = stripe_client.v1.subscriptions
    bought = _subscribe(stripe_client, _price(stripe_client))
    later = subscriptions.update(bought.id, {"cancel_at_period_end": True})
    assert (later.status, later.cancel_at) == ("active", bought["items"].data[0].current_period_end)
    kept = subscriptions.update(bought.id, {"cancel_at_period_end": False})
    assert (kept.cancel_at, kept.canceled_at) == (None, None)
    ended = subscriptions.cancel(bought.id)
    assert (ended.status, ended.ended_at is not None) == ("canceled", True)
    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        subscriptions.cancel(bought.id)
    assert subscriptions.retrieve(bought.id).status == "canceled"


def test_a_declined_card_makes_incomplete_and_past_due_until_a_new_card(stripe_client: StripeClient) -> None:
    subscriptions, price = stripe_client.v1.subscriptions, _price(stripe_client)
    customer = stripe_client.v1.customers.create()
    declined = "pm_card_chargeCustomerFail"
    first = subscriptions.create(
        {"customer": customer.id, "items": [{"price": price.id}], "default_payment_method": declined}
    )
    assert first.status == "incomplete"
    assert subscriptions.update(first.id, {"default_payment_method": "pm_card_visa"}).status == "active"
    item = first["items"].data[0]
    owing = subscriptions.update(
        first.id,
        {
            "default_payment_method": declined,
            "items": [{"id": item.id, "quantity": 2}],
            "proration_behavior": "always_invoice",
        },
    )
    assert owing.status == "past_due"


def test_error_if_incomplete_returns_402_and_creates_nothing(stripe_client: StripeClient) -> None:
    price, customer = _price(stripe_client), stripe_client.v1.customers.create()
    with pytest.raises(stripe.CardError, match="declined"):
        stripe_client.v1.subscriptions.create(
            {
                "customer": customer.id,
                "items": [{"price": price.id}],
                "default_payment_method": "pm_card_chargeCustomerFail",
                "payment_behavior": "error_if_incomplete",
            }
        )
    assert stripe_client.v1.subscriptions.list({"customer": customer.id, "status": "all"}).data == []


def test_a_trial_is_the_period_before_the_first_paid_one(stripe_client: StripeClient) -> None:
    customer, price = stripe_client.v1.customers.create(), _price(stripe_client)
    trial = stripe_client.v1.subscriptions.create(
        {"customer": customer.id, "items": [{"price": price.id}], "trial_period_days": 14}
    )
    item = trial["items"].data[0]
    assert (trial.status, item.current_period_end) == ("trialing", trial.trial_end)
    paid = stripe_client.v1.subscriptions.update(trial.id, {"trial_end": "now"})
    assert paid.status == "active"
    assert paid["items"].data[0].current_period_end > paid["items"].data[0].current_period_start + 27 * 86400


def test_lists_omit_canceled_subscriptions_by_default(stripe_client: StripeClient) -> None:
    subscriptions = stripe_client.v1.subscriptions
    bought = _subscribe(stripe_client, _price(stripe_client))
    customer = str(bought.customer)
    subscriptions.cancel(bought.id)
    assert subscriptions.list({"customer": customer}).data == []
    assert [each.id for each in subscriptions.list({"customer": customer, "status": "all"}).data] == [bought.id]
    assert [each.id for each in subscriptions.list({"customer": customer, "status": "ended"}).data] == [bought.id]


def test_deleting_a_customer_cancels_its_subscriptions(stripe_client: StripeClient) -> None:
    bought = _subscribe(stripe_client, _price(stripe_client))
    stripe_client.v1.customers.delete(str(bought.customer))
    assert stripe_client.v1.subscriptions.retrieve(bought.id).status == "canceled"


def test_pages_return_every_object_once_newest_first(stripe_client: StripeClient) -> None:
    email = f"{uuid4().hex}@example.com"
    made = [stripe_client.v1.customers.create({"email": email}).id for _ in range(5)]
    first = stripe_client.v1.customers.list({"email": email, "limit": 2})
    assert ([each.id for each in first.data], first.has_more) == ([made[4], made[3]], True)
    assert [each.id for each in first.auto_paging_iter()] == made[::-1]
    before = stripe_client.v1.customers.list({"email": email, "limit": 2, "ending_before": made[0]})
    assert ([each.id for each in before.data], before.has_more) == ([made[2], made[1]], True)


def test_ids_expand_to_the_objects_that_they_name(stripe_client: StripeClient) -> None:
    bought = _subscribe(stripe_client, _price(stripe_client))
    found = stripe_client.v1.subscriptions.retrieve(
        bought.id, {"expand": ["customer", "items.data.price.product", "latest_invoice"]}
    )
    assert isinstance(found.customer, stripe.Customer)
    product = found["items"].data[0].price.product
    assert isinstance(product, stripe.Product)
    customer = stripe_client.v1.customers.retrieve(found.customer.id, {"expand": ["subscriptions"]})
    assert customer.subscriptions is not None
    assert [each.id for each in customer.subscriptions.data] == [bought.id]
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        stripe_client.v1.subscriptions.retrieve(bought.id, {"expand": ["status"]})


def test_a_lookup_key_names_one_price_and_can_be_transferred(stripe_client: StripeClient) -> None:
    key = uuid4().hex
    product = stripe_client.v1.products.create({"name": "Pro"})
    old = stripe_client.v1.prices.create(
        {"currency": "eur", "unit_amount": 1, "product": product.id, "lookup_key": key}
    )
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        stripe_client.v1.prices.create({"currency": "eur", "unit_amount": 2, "product": product.id, "lookup_key": key})
    new = stripe_client.v1.prices.create(
        {
            "currency": "eur",
            "unit_amount": 2,
            "product": product.id,
            "lookup_key": key,
            "transfer_lookup_key": True,
        }
    )
    assert [each.id for each in stripe_client.v1.prices.list({"lookup_keys": [key]}).data] == [new.id]
    assert stripe_client.v1.prices.retrieve(old.id).lookup_key is None


def test_only_recurring_active_prices_can_be_subscribed_to(stripe_client: StripeClient) -> None:
    product = stripe_client.v1.products.create({"name": "Once"})
    once = stripe_client.v1.prices.create({"currency": "usd", "unit_amount": 5, "product": product.id})
    archived = _price(stripe_client)
    stripe_client.v1.prices.update(archived.id, {"active": False})
    for price, reason in ((once, "type=one_time"), (archived, "inactive")):
        with pytest.raises(stripe.InvalidRequestError, match=reason):
            _subscribe(stripe_client, price)


def test_a_product_with_prices_is_archived_not_deleted(stripe_client: StripeClient) -> None:
    product = stripe_client.v1.products.create({"name": "Pro"})
    stripe_client.v1.prices.create({"currency": "usd", "unit_amount": 5, "product": product.id})
    with pytest.raises(stripe.InvalidRequestError, match="cannot be deleted"):
        stripe_client.v1.products.delete(product.id)
    assert stripe_client.v1.products.update(product.id, {"active": False}).active is False
    bare = stripe_client.v1.products.create({"name": "Bare"})
    assert stripe_client.v1.products.delete(bare.id).deleted is True


def test_a_webhook_endpoint_returns_its_secret_at_creation_only(stripe_client: StripeClient) -> None:
    endpoints = stripe_client.v1.webhook_endpoints
    made = endpoints.create({"url": "http://127.0.0.1:9/hook", "enabled_events": ["customer.created"]})
    assert made.secret is not None
    assert made.secret.startswith("whsec_")
    assert "secret" not in endpoints.retrieve(made.id)
    assert endpoints.update(made.id, {"disabled": True}).status == "disabled"
    endpoints.delete(made.id)
    with pytest.raises(stripe.InvalidRequestError, match="No such webhook endpoint"):
        endpoints.retrieve(made.id)
