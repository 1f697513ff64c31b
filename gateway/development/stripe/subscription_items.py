"""What a subscription is made of: one item a price. Source: https://docs.stripe.com/api/subscription_items.

The current period is on the items, as since 2025-03-31.basil.
"""

from typing import Annotated

from pydantic import Field

from gateway.development.stripe.errors import StripeError, no_such
from gateway.development.stripe.objects import find
from gateway.development.stripe.parameters import Boolean, Metadata, Natural, Parameters, Text, merge_metadata
from gateway.development.stripe.periods import period_at
from gateway.development.stripe.state import Change, Record, new_id

_MOST_ITEMS = 20
_SAME_IN_PLAN = (
    "active", "billing_scheme", "created", "currency", "livemode", "metadata", "nickname", "product", "tiers_mode",
)  # fmt: skip


class ItemCreate(Parameters):
    metadata: Metadata = None
    price: Text
    quantity: Natural = 1


class ItemUpdate(Parameters):
    id: Text | None = None
    deleted: Boolean = False
    metadata: Metadata = None
    price: Text | None = None
    quantity: Annotated[Natural | None, Field()] = None


def add_item(change: Change, items: list[Record], subscription: Record, given: ItemCreate | ItemUpdate) -> None:
    """Append an item for the given price. Raises StripeError when the subscription has that price already."""
    if given.price is None:
        raise StripeError("Missing required param: items[price].", code="parameter_missing", param="items")
    price = _recurring_price(change, given.price)
    if any(each["price"]["id"] == price["id"] for each in items):
        message = f"Cannot add multiple subscription items with the same plan: {price['id']}"
        raise StripeError(message, param="items")
    item: Record = {
        "id": new_id("si"),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": change.now,
        "current_period_end": 0,
        "current_period_start": 0,
        "discounts": [],
        "metadata": merge_metadata({}, given.metadata),
        "plan": {},
        "price": {},
        "quantity": 1 if given.quantity is None else given.quantity,
        "subscription": subscription["id"],
        "tax_rates": [],
    }
    _set_price(item, price)
    items.append(item)


def change_items(change: Change, subscription: Record, given: list[ItemUpdate]) -> None:
    """Apply an update's items in place: an id changes or deletes an item, no id adds one; others stay unchanged."""
    items: list[Record] = subscription["items"]["data"]
    for each in given:
        if each.id is None:
            add_item(change, items, subscription, each)
        else:
            _change_item(change, items, each)
    check_items(items)


def check_items(items: list[Record]) -> None:
    """Rules for all items of a subscription together."""
    if not items:
        raise StripeError("A subscription must have at least one active plan.", param="items")
    if len(items) > _MOST_ITEMS:
        raise StripeError(f"A subscription can have up to {_MOST_ITEMS} items.", param="items")
    if len({each["price"]["currency"] for each in items}) > 1:
        raise StripeError("All prices on a subscription must be in the same currency.", param="items")


def set_periods(subscription: Record, now: int) -> None:
    """Set the period that contains ``now`` on each item, counted from the billing cycle anchor."""
    for item in subscription["items"]["data"]:
        recurring = item["price"]["recurring"]
        anchor = subscription["billing_cycle_anchor"]
        period = period_at(anchor, recurring["interval"], recurring["interval_count"], now)
        trial_end = subscription["trial_end"]
        if trial_end and trial_end > now:  # the trial is the period before the anchor
            item["current_period_start"], item["current_period_end"] = subscription["trial_start"], trial_end
        else:
            item["current_period_start"], item["current_period_end"] = period


def intervals(subscription: Record) -> set[tuple[str, int]]:
    """The billing interval of the items; changing it starts a new cycle."""
    found = (each["price"]["recurring"] for each in subscription["items"]["data"])
    return {(each["interval"], each["interval_count"]) for each in found}


def _change_item(change: Change, items: list[Record], given: ItemUpdate) -> None:
    item = next((each for each in items if each["id"] == given.id), None)
    if item is None:
        raise no_such("subscription item", given.id or "", "items")
    if given.deleted:
        items.remove(item)
        return
    if given.price:
        _set_price(item, _recurring_price(change, given.price))
    if given.quantity is not None:
        item["quantity"] = given.quantity
    if "metadata" in given.model_fields_set:
        item["metadata"] = merge_metadata(item["metadata"], given.metadata)


def _recurring_price(change: Change, price_id: str) -> Record:
    price = find(change, "prices", price_id, "items[0][price]")
    if not price["active"]:
        message = "The price specified is inactive. This field only accepts active prices."
        raise StripeError(message, param="items[0][price]")
    if price["type"] != "recurring":
        message = (
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`."
        )
        raise StripeError(message, param="items[0][price]")
    return price


def _set_price(item: Record, price: Record) -> None:
    item["price"] = price
    item["plan"] = _plan(price)


def _plan(price: Record) -> Record:
    # The deprecated form of a price, which every item still has. Source: https://docs.stripe.com/api/plans/object.
    recurring = price["recurring"]
    return {name: price[name] for name in _SAME_IN_PLAN} | {
        "id": price["id"],
        "object": "plan",
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "meter": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": recurring["usage_type"],
    }
