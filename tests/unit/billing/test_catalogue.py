"""Errors of the catalogue file."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from billing.plans.catalogue import Catalogue, read_catalogue

WINDOW = {"name": "burst", "quota": 1, "window_seconds": 1}


def _plan(code: str = "free", rank: int = 0, **more: object) -> dict[str, object]:
    return {"code": code, "name": code, "rank": rank, "windows": [WINDOW], **more}


def test_the_plans_of_the_example() -> None:
    plans = {each.code: each for each in read_catalogue(Path("examples/crm/plans.toml")).plans}
    windows = {code: [(w.quota, w.window_seconds) for w in plan.windows] for code, plan in plans.items()}
    assert windows == {
        "free": [(10, 1), (120, 60)],
        "pro": [(100, 1), (3_000, 60)],
        "scale": [(1_000, 1), (30_000, 60)],
    }
    assert all(plan.monthly_quota and plan.features for plan in plans.values())


@pytest.mark.parametrize(
    ("plans", "reason"),
    [
        ([], "at least 1 item"),
        ([_plan("pro", 1)], "exactly one plan has rank 0"),
        ([_plan(), _plan("pro", 0)], "exactly one plan has rank 0"),
        ([_plan(), _plan(rank=1)], "same code"),
        ([_plan(stripe_price_id="price_a"), _plan("pro", 1, stripe_price_id="price_a")], "same Stripe price"),
        ([_plan(windows=[])], "at least 1 item"),
        ([_plan(windows=[WINDOW, WINDOW])], "same name"),
        ([_plan(windows=[WINDOW, {**WINDOW, "name": "other"}])], "same length"),
        ([_plan(windows=[{**WINDOW, "quota": 0}])], "greater than or equal to 1"),
        ([_plan(concurrency=0)], "greater than or equal to 1"),
        ([_plan(code="Free")], "pattern"),
        ([_plan(colour="red")], "Extra inputs"),
        ([_plan(features={"seats": -1})], "an integer from 0"),
        ([_plan(features={"seats": 1.5})], "an integer from 0"),
    ],
)
def test_inconsistent_plans_are_rejected(plans: list[dict[str, object]], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Catalogue.model_validate({"plans": plans})


def test_prices_can_be_set_for_known_plans_only() -> None:
    catalogue = Catalogue.model_validate({"plans": [_plan(), _plan("pro", 1)]})
    priced = catalogue.priced({"pro": "price_1"})
    assert [each.stripe_price_id for each in priced.plans] == [None, "price_1"]
    with pytest.raises(ValueError, match="no such plan: gold"):
        catalogue.priced({"gold": "price_1"})


def test_features_keep_their_types() -> None:
    (plan,) = Catalogue.model_validate({"plans": [_plan(features={"a": True, "b": 1, "c": "x"})]}).plans
    assert [(name, type(value)) for name, value in plan.features.items()] == [("a", bool), ("b", int), ("c", str)]
