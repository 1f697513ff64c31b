"""Which plan a tenant's subscriptions entitle it to: pure rules over statuses.

Source: https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from billing.payments.port import BoughtItem, BoughtSubscription
from billing.plans.plan import Plan

_ENTITLING = frozenset({"active", "trialing", "past_due"})  # past due keeps the plan while Stripe tries again
_ENDED = frozenset({"canceled", "unpaid", "incomplete_expired", "paused"})


class Claim(Enum):
    """What one subscription's status says of the plan."""

    ENTITLED = auto()
    ENDED = auto()
    SILENT = auto()  # incomplete, or a status that Stripe invented since: changes nothing


class Ended(Enum):
    """What was bought has ended: the tenant is back on the default plan."""

    ENDED = auto()


Entitlement = str | Ended | None  # the code of the plan; or that it ended; or nothing to say


@dataclass(frozen=True, slots=True)
class Holding:
    """One subscription as the rule sees it; ``plan`` is None when no plan of ours has one of its prices."""

    status: str
    plan: str | None


def claim_of(status: str) -> Claim:
    """What the status says."""
    if status in _ENTITLING:
        return Claim.ENTITLED
    return Claim.ENDED if status in _ENDED else Claim.SILENT


def entitlement(holdings: Iterable[Holding], ranks: Mapping[str, int]) -> Entitlement:
    """The best plan that any subscription entitles to, whatever their order: the highest rank, then the first code.

    Without one, Ended when any has ended, and None when none says anything: no subscription, or first payments pending.
    """
    held = [(each, claim_of(each.status)) for each in holdings]
    plans = [each.plan for each, claim in held if claim is Claim.ENTITLED and each.plan in ranks]
    if plans:
        return min((plan for plan in plans if plan is not None), key=lambda code: (-ranks[code], code))
    return Ended.ENDED if any(claim is Claim.ENDED for _, claim in held) else None


def chosen_item(subscription: BoughtSubscription, plans: Iterable[Plan]) -> tuple[BoughtItem | None, Plan | None]:
    """The item whose price is a plan's, the best plan's where several are; else the first item and no plan."""
    by_price = {plan.stripe_price_id: plan for plan in plans if plan.stripe_price_id}
    found = [(by_price[item.price], item) for item in subscription.items if item.price in by_price]
    if found:
        plan, item = min(found, key=lambda each: (-each[0].rank, each[0].code))
        return item, plan
    return (subscription.items[0] if subscription.items else None), None
