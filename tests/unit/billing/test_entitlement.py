"""SI4, SI10: the plan that subscriptions entitle to, in any order."""

from datetime import UTC, datetime
from itertools import permutations

import pytest

from billing.payments.port import BoughtItem, BoughtSubscription
from billing.plans.plan import Plan
from billing.subscriptions.entitlement import Ended, Entitlement, Holding, chosen_item, entitlement

RANKS = {"free": 0, "pro": 1, "scale": 2, "team": 1}


@pytest.mark.parametrize(
    ("status", "entitled"),
    [
        ("active", "pro"),
        ("trialing", "pro"),
        ("past_due", "pro"),
        ("canceled", Ended.ENDED),
        ("unpaid", Ended.ENDED),
        ("incomplete_expired", Ended.ENDED),
        ("paused", Ended.ENDED),
        ("incomplete", None),
        ("a status that Stripe has not invented yet", None),
    ],
)
def test_the_effect_of_each_status(status: str, entitled: Entitlement) -> None:
    assert entitlement([Holding(status, "pro")], RANKS) == entitled


@pytest.mark.parametrize(
    ("holdings", "entitled"),
    [
        ((), None),
        ((Holding("active", "pro"), Holding("canceled", "scale")), "pro"),
        ((Holding("active", "pro"), Holding("trialing", "scale"), Holding("incomplete", "scale")), "scale"),
        ((Holding("active", "team"), Holding("active", "pro")), "pro"),  # equal ranks: the first code
        ((Holding("active", None), Holding("unpaid", "pro")), Ended.ENDED),  # a price of no plan of ours
        ((Holding("active", None), Holding("incomplete", "pro")), None),
        ((Holding("active", "gone"), Holding("active", "free")), "free"),  # a plan that there is no longer
    ],
)
def test_the_best_entitled_plan_wins_in_every_order(holdings: tuple[Holding, ...], entitled: Entitlement) -> None:
    """SI4."""
    assert {entitlement(each, RANKS) for each in permutations(holdings)} == {entitled}


def _plan(code: str, price: str | None) -> Plan:
    return Plan(code, code, RANKS[code], (), None, None, {}, price)


def _item(price: str) -> BoughtItem:
    return BoughtItem(price, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))


def _bought(*prices: str) -> BoughtSubscription:
    return BoughtSubscription("sub_1", "cus_1", "active", tuple(_item(each) for each in prices), False, False)  # noqa: FBT003 - two flags of Stripe's


@pytest.mark.parametrize(
    ("prices", "chosen"),
    [
        (("price_pro",), ("price_pro", "pro")),
        (("price_seats", "price_pro"), ("price_pro", "pro")),  # an add-on beside the plan
        (("price_pro", "price_scale"), ("price_scale", "scale")),
        (("price_seats",), ("price_seats", None)),
        ((), (None, None)),
    ],
)
def test_a_subscription_counts_for_the_best_plan_among_its_items(
    prices: tuple[str, ...], chosen: tuple[str | None, str | None]
) -> None:
    plans = [_plan("free", None), _plan("pro", "price_pro"), _plan("scale", "price_scale")]
    item, plan = chosen_item(_bought(*prices), plans)
    assert (item and item.price, plan and plan.code) == chosen
