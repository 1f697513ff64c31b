"""The statuses of a subscription, and how they change with time.

Source: https://docs.stripe.com/billing/subscriptions/overview (statuses) and https://docs.stripe.com/testing (test
payment methods). On purpose otherwise than Stripe, until invoices are built:
- a customer without a payment method pays, so that one ``curl`` buys a plan;
- ``pm_card_chargeCustomerFail`` is declined at every charge, and giving another method settles what is open at once.
"""

from gateway.development.stripe.errors import StripeError
from gateway.development.stripe.events import record_event
from gateway.development.stripe.state import Change, Record
from gateway.development.stripe.subscription_items import set_periods

DECLINED = "pm_card_chargeCustomerFail"
_FIRST_PAYMENT = 23 * 3600  # seconds that an incomplete subscription waits for its first payment
ENDED = frozenset({"canceled", "incomplete_expired"})
_OWING = frozenset({"past_due", "unpaid", "incomplete"})


def first_status(change: Change, subscription: Record, behavior: str) -> str:
    """The status after creation. Raises Stripe's 402 when ``error_if_incomplete`` meets a declined card."""
    if subscription["trial_end"]:
        return "trialing"
    if behavior == "default_incomplete":
        return "incomplete"
    if pays(change, subscription):
        return "active"
    if behavior == "error_if_incomplete":
        raise StripeError("Your card was declined.", code="card_declined", status=402, kind="card_error")
    return "incomplete"


def pays(change: Change, subscription: Record) -> bool:
    """False when the payment method to be charged is the one that is always declined."""
    customer = change.get("customers", subscription["customer"]) or {}
    settings = customer.get("invoice_settings") or {}
    return (subscription["default_payment_method"] or settings.get("default_payment_method")) != DECLINED


def charge(change: Change, subscription: Record) -> None:
    """The status after a charge now."""
    subscription["status"] = "active" if pays(change, subscription) else "past_due"


def settle(change: Change, subscription: Record) -> None:
    """After a new payment method: open charges are paid."""
    if subscription["status"] in _OWING and pays(change, subscription):
        subscription["status"] = "active"


def cancel_now(change: Change, subscription: Record, reason: str | None = "cancellation_requested") -> None:
    """Cancel it at once, permanently, with its event."""
    subscription |= {
        "status": "canceled",
        "canceled_at": subscription["canceled_at"] or change.now,
        "ended_at": change.now,
    }
    subscription["cancellation_details"]["reason"] = reason
    change.put("subscriptions", subscription)
    record_event(change, "customer.subscription.deleted", subscription)


def cancel_all_of(change: Change, customer: str) -> None:
    """Cancel the subscriptions of a deleted customer."""
    for each in list(change.newest_first("subscriptions")):
        if each["customer"] == customer and each["status"] not in ENDED:
            cancel_now(change, _copy(change, each))


def pass_time(change: Change) -> None:
    """Update every subscription to ``change.now``: end trials, renew periods, cancel and expire what is due."""
    for each in list(change.newest_first("subscriptions")):
        if each["status"] not in ENDED and _next_moment(each) <= change.now:
            _age(change, _copy(change, each))


def _next_moment(subscription: Record) -> int:
    moments = [each["current_period_end"] for each in subscription["items"]["data"]]
    if subscription["cancel_at"]:
        moments.append(subscription["cancel_at"])
    if subscription["status"] == "incomplete":
        moments.append(subscription["created"] + _FIRST_PAYMENT)
    return int(min(moments))


def _age(change: Change, subscription: Record) -> None:
    before = _copy(change, subscription)
    if subscription["cancel_at"] and subscription["cancel_at"] <= change.now:
        cancel_now(change, subscription)
        return
    if subscription["status"] == "incomplete":
        subscription |= {"status": "incomplete_expired", "ended_at": change.now}
    else:
        charge(change, subscription)
        set_periods(subscription, change.now)
    change.put("subscriptions", subscription)
    record_event(change, "customer.subscription.updated", subscription, before)


def _copy(change: Change, subscription: Record) -> Record:
    return change.get("subscriptions", subscription["id"]) or subscription
