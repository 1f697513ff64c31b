"""The plans of a deployment as one TOML file. Applying it repeatedly is safe.

[[plans]]
code = "pro"
name = "Pro"
rank = 1                # the plan of rank 0 applies to tenants without a subscription
monthly_quota = 100000  # omitted: unlimited
concurrency = 50        # concurrent requests; omitted: unlimited
windows = [{ name = "burst", quota = 100, window_seconds = 1 }]
features = { support = "email" }
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from billing.plans.plan import DEFAULT_RANK
from billing.plans.schemas import PlanSpec


class Catalogue(BaseModel):
    """Plans with distinct codes and prices, exactly one with rank 0."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plans: Annotated[tuple[PlanSpec, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if len({each.code for each in self.plans}) < len(self.plans):
            raise ValueError("two plans have the same code")
        prices = [each.stripe_price_id for each in self.plans if each.stripe_price_id]
        if len(set(prices)) < len(prices):
            raise ValueError("two plans have the same Stripe price")
        if sum(each.rank == DEFAULT_RANK for each in self.plans) != 1:
            raise ValueError("exactly one plan has rank 0")
        return self

    def priced(self, prices: Mapping[str, str]) -> "Catalogue":
        """The same plans with these Stripe prices, by plan code. Raises ValueError for an unknown code."""
        unknown = set(prices) - {each.code for each in self.plans}
        if unknown:
            raise ValueError(f"no such plan: {', '.join(sorted(unknown))}")
        members = [each.model_dump() for each in self.plans]
        for each in members:
            each["stripe_price_id"] = prices.get(each["code"], each["stripe_price_id"])
        return Catalogue.model_validate({"plans": members})


def read_catalogue(path: Path) -> Catalogue:
    """Read the file. Raises OSError, tomllib.TOMLDecodeError, or pydantic.ValidationError."""
    with path.open("rb") as file:
        return Catalogue.model_validate(tomllib.load(file))
