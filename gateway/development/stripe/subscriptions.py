"""Subscriptions. Source: https://docs.stripe.com/api/subscriptions.

Their money is for the billing issue: ``latest_invoice`` stays null, and proration is accepted and computes nothing.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from gateway.development.stripe.errors import StripeError, no_such
from gateway.development.stripe.events import record_event
from gateway.development.stripe.objects import expand, find, list_object, page
from gateway.development.stripe.parameters import (
    Array,
    Boolean,
    Clearable,
    Expandable,
    Integer,
    Metadata,
    Natural,
    Page,
    Parameters,
    Text,
    merge_metadata,
)
from gateway.development.stripe.requests import AnyEndpoint, Endpoint
from gateway.development.stripe.state import Change, Record, new_id
from gateway.development.stripe.subscription_items import (
    ItemCreate,
    ItemUpdate,
    add_item,
    change_items,
    check_items,
    intervals,
    set_periods,
)
from gateway.development.stripe.subscription_lifecycle import ENDED, cancel_now, charge, first_status, settle

_DAY = 86400
PaymentBehavior = Literal["allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"]
ProrationBehavior = Literal["always_invoice", "create_prorations", "none"]
Status = Literal[
    "active", "all", "canceled", "ended", "incomplete", "incomplete_expired", "past_due", "paused", "trialing", "unpaid"
]


class CancellationDetails(Parameters):
    comment: Clearable[Text] = None
    feedback: Clearable[
        Literal[
            "customer_service", "low_quality", "missing_features", "other", "switched_service", "too_complex",
            "too_expensive", "unused",
        ]
    ] = None  # fmt: skip


def _moment(value: object) -> object:
    return "0" if value == "now" else value


class SubscriptionFields(Expandable):
    cancel_at: Clearable[Integer] = None
    cancel_at_period_end: Boolean = False
    collection_method: Literal["charge_automatically"] = "charge_automatically"
    default_payment_method: Clearable[Text] = None
    description: Clearable[Text] = None
    metadata: Metadata = None
    off_session: Boolean = False
    payment_behavior: PaymentBehavior = "allow_incomplete"
    proration_behavior: ProrationBehavior = "create_prorations"
    trial_end: Annotated[Integer | None, BeforeValidator(_moment)] = None  # 0 means "now"


class SubscriptionCreate(SubscriptionFields):
    currency: Text | None = None
    customer: Text
    items: Annotated[Array[ItemCreate], Field(min_length=1)]
    trial_period_days: Annotated[Natural, Field(le=730)] | None = None


class SubscriptionUpdate(SubscriptionFields):
    cancellation_details: CancellationDetails | None = None
    items: Array[ItemUpdate] = Field(default_factory=list)
    proration_date: Integer | None = None


class SubscriptionCancel(Expandable):
    cancellation_details: CancellationDetails | None = None
    invoice_now: Boolean = False
    prorate: Boolean = False


class SubscriptionList(Page):
    customer: Text | None = None
    price: Text | None = None
    status: Status | None = None


def _new(change: Change, given: SubscriptionCreate) -> Record:
    trial_end = _trial_end(change, given)
    return {
        "id": new_id("sub"),
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": trial_end or change.now,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": given.collection_method,
        "created": change.now,
        "currency": "",
        "customer": given.customer,
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": given.default_payment_method,
        "default_source": None,
        "default_tax_rates": [],
        "description": given.description,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": {},
        "latest_invoice": None,
        "livemode": False,
        "metadata": merge_metadata({}, given.metadata),
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": change.now,
        "status": "incomplete",
        "test_clock": None,
        "transfer_data": None,
        "trial_end": trial_end,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": change.now if trial_end else None,
    }


def _trial_end(change: Change, given: SubscriptionCreate) -> int | None:
    if given.trial_period_days:
        return change.now + given.trial_period_days * _DAY
    return given.trial_end if given.trial_end and given.trial_end > change.now else None


def _create(change: Change, given: SubscriptionCreate, _: str) -> Record:
    find(change, "customers", given.customer, "customer")
    subscription = _new(change, given)
    items: list[Record] = []
    for each in given.items:
        add_item(change, items, subscription, each)
    check_items(items)
    subscription["items"] = list_object(f"/v1/subscription_items?subscription={subscription['id']}", items)
    subscription["items"]["total_count"] = len(items)
    subscription["currency"] = items[0]["price"]["currency"]
    if given.currency not in {None, subscription["currency"]}:
        raise StripeError("The currency does not match the prices' currency.", param="currency")
    set_periods(subscription, change.now)
    _schedule_end(change, subscription, given)
    subscription["status"] = first_status(change, subscription, given.payment_behavior)
    change.put("subscriptions", subscription)
    record_event(change, "customer.subscription.created", subscription)
    return expand(change, subscription, given.expand)


def _retrieve(change: Change, given: Expandable, subscription_id: str) -> Record:
    return expand(change, find(change, "subscriptions", subscription_id), given.expand)


def _update(change: Change, given: SubscriptionUpdate, subscription_id: str) -> Record:
    before, subscription = (find(change, "subscriptions", subscription_id) for _ in range(2))
    if before["status"] in ENDED and given.model_fields_set - {"metadata", "cancellation_details", "expand"}:
        raise StripeError("A canceled subscription can only update its cancellation_details and metadata.")
    _write(change, subscription, given)
    if given.items or "trial_end" in given.model_fields_set:
        _rebill(change, subscription, before, given)
    if "default_payment_method" in given.model_fields_set:
        settle(change, subscription)
    change.put("subscriptions", subscription)
    record_event(change, "customer.subscription.updated", subscription, before)
    return expand(change, subscription, given.expand)


def _write(change: Change, subscription: Record, given: SubscriptionUpdate) -> None:
    subscription |= given.given("default_payment_method", "description")
    if "metadata" in given.model_fields_set:
        subscription["metadata"] = merge_metadata(subscription["metadata"], given.metadata)
    if given.cancellation_details:
        subscription["cancellation_details"] |= given.cancellation_details.given("comment", "feedback")
    _schedule_end(change, subscription, given)


def _rebill(change: Change, subscription: Record, before: Record, given: SubscriptionUpdate) -> None:
    """New items or a new trial: a new cycle when the interval changes, and a charge when one is due now."""
    change_items(change, subscription, given.items)
    subscription["items"]["total_count"] = len(subscription["items"]["data"])
    new_cycle = intervals(subscription) != intervals(before)
    if "trial_end" in given.model_fields_set:
        new_cycle = _retrial(change, subscription, given.trial_end or 0) or new_cycle
    elif new_cycle:
        subscription["billing_cycle_anchor"] = change.now
    set_periods(subscription, change.now)
    if subscription["status"] in {"active", "past_due"} and (new_cycle or given.proration_behavior == "always_invoice"):
        charge(change, subscription)


def _retrial(change: Change, subscription: Record, trial_end: int) -> bool:
    """Move the trial's end; True when it ends now, which starts the first paid cycle."""
    ends_now = trial_end <= change.now
    subscription["trial_end"] = change.now if ends_now else trial_end
    subscription["trial_start"] = subscription["trial_start"] or change.now
    subscription["billing_cycle_anchor"] = subscription["trial_end"]
    subscription["status"] = "active" if ends_now else "trialing"
    return ends_now


def _schedule_end(change: Change, subscription: Record, given: SubscriptionFields) -> None:
    """Set or unset ``cancel_at_period_end`` and ``cancel_at``."""
    sent = given.model_fields_set & {"cancel_at", "cancel_at_period_end"}
    if not sent:
        return
    if given.cancel_at and given.cancel_at_period_end:
        raise StripeError("You may only specify one of these parameters: cancel_at, cancel_at_period_end.")
    at_end = given.cancel_at_period_end
    end = max(each["current_period_end"] for each in subscription["items"]["data"]) if at_end else given.cancel_at
    subscription |= {
        "cancel_at": end,
        "cancel_at_period_end": at_end,
        "canceled_at": change.now if end else None,
    }
    subscription["cancellation_details"]["reason"] = "cancellation_requested" if end else None


def _cancel(change: Change, given: SubscriptionCancel, subscription_id: str) -> Record:
    subscription = find(change, "subscriptions", subscription_id)
    if subscription["status"] in ENDED:
        raise no_such("subscription", subscription_id)
    if given.cancellation_details:
        subscription["cancellation_details"] |= given.cancellation_details.given("comment", "feedback")
    cancel_now(change, subscription)
    return expand(change, subscription, given.expand)


def _list(change: Change, given: SubscriptionList, _: str) -> Record:
    if given.customer and change.get("customers", given.customer) is None:
        raise no_such("customer", given.customer, "customer")

    def keep(subscription: Record) -> bool:
        return (
            given.customer in {None, subscription["customer"]}
            and _has_status(subscription["status"], given.status)
            and (given.price is None or any(_price_of(each) == given.price for each in subscription["items"]["data"]))
        )

    return expand(change, page(change, "subscriptions", given, keep), given.expand)


def _price_of(item: Record) -> Any:
    return item["price"]["id"]


def _has_status(status: str, requested: str | None) -> bool:
    match requested:
        case None:
            return status != "canceled"
        case "all":
            return True
        case "ended":
            return status in ENDED
        case _:
            return status == requested


ENDPOINTS: tuple[AnyEndpoint, ...] = (
    Endpoint("POST", "/subscriptions", SubscriptionCreate, _create),
    Endpoint("GET", "/subscriptions", SubscriptionList, _list),
    Endpoint("GET", "/subscriptions/{id}", Expandable, _retrieve),
    Endpoint("POST", "/subscriptions/{id}", SubscriptionUpdate, _update),
    Endpoint("DELETE", "/subscriptions/{id}", SubscriptionCancel, _cancel),
)
