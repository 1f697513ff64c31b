"""The plan that a tenant's subscriptions entitle it to: rules without I/O.

Source: https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from billing.payments.port import BoughtItem, BoughtSubscription
from billing.plans.plan import Plan

_ENTITLING = frozenset({"active", "trialing", "past_due"})  # past_due keeps the plan while Stripe retries the payment
_ENDED = frozenset({"canceled", "unpaid", "incomplete_expired", "paused"})


class Claim(Enum):
    """The effect of a subscription's status on the plan."""

    ENTITLED = auto()
    ENDED = auto()
    NONE = auto()  # incomplete, or a status unknown to us: no effect


class Ended(Enum):
    """The subscription has ended: the tenant returns to the default plan."""

    ENDED = auto()


Entitlement = str | Ended | None  # the code of the plan; ended; or no effect


@dataclass(frozen=True, slots=True)
class Holding:
    """One subscription; ``plan`` is None when none of its prices belongs to a plan."""

    status: str
    plan: str | None


def claim_of(status: str) -> Claim:
    """The effect of this status."""
    if status in _ENTITLING:
        return Claim.ENTITLED
    return Claim.ENDED if status in _ENDED else Claim.NONE


def entitlement(holdings: Iterable[Holding], ranks: Mapping[str, int]) -> Entitlement:
    """The best plan that any subscription entitles to: the highest rank, then the first code.

    Without one: Ended when any subscription has ended, otherwise None (no subscription, or first payment pending).
    """
    held = [(each, claim_of(each.status)) for each in holdings]
    plans = [each.plan for each, claim in held if claim is Claim.ENTITLED and each.plan in ranks]
    if plans:
        return min((plan for plan in plans if plan is not None), key=lambda code: (-ranks[code], code))
    return Ended.ENDED if any(claim is Claim.ENDED for _, claim in held) else None


def chosen_item(subscription: BoughtSubscription, plans: Iterable[Plan]) -> tuple[BoughtItem | None, Plan | None]:
    """The item whose price belongs to a plan (the best plan, if several); otherwise the first item and no plan."""
    by_price = {plan.stripe_price_id: plan for plan in plans if plan.stripe_price_id}
    found = [(by_price[item.price], item) for item in subscription.items if item.price in by_price]
    if found:
        plan, item = min(found, key=lambda each: (-each[0].rank, each[0].code))
        return item, plan
    return (subscription.items[0] if subscription.items else None), None
