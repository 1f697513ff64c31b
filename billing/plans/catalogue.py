"""The plans that a SaaS starts with: one TOML file, seeded as often as one likes.

[[plans]]
code = "pro"
name = "Pro"
rank = 1                # the plan of rank 0 is the one of tenants that have bought nothing
monthly_quota = 100000  # left out: unlimited
concurrency = 50        # requests in flight at once; left out: unlimited
windows = [{ name = "burst", quota = 100, window_seconds = 1 }]
features = { support = "email" }
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from billing.plans import repository
from billing.plans.plan import DEFAULT_RANK
from billing.plans.schemas import PlanSpec
from tenants.database.sessions import ControlSession


class Catalogue(BaseModel):
    """Plans with distinct codes and prices, exactly one of them of rank 0."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plans: Annotated[tuple[PlanSpec, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if len({each.code for each in self.plans}) < len(self.plans):
            raise ValueError("two plans have the same code")
        prices = [each.stripe_price_id for each in self.plans if each.stripe_price_id]
        if len(set(prices)) < len(prices):
            raise ValueError("two plans have the same Stripe price")
        if sum(each.rank == DEFAULT_RANK for each in self.plans) != 1:
            raise ValueError("exactly one plan has rank 0")
        return self

    def priced(self, prices: Mapping[str, str]) -> "Catalogue":
        """The same plans with Stripe price ids by plan code. Raises ValueError for a code that is none of theirs."""
        unknown = set(prices) - {each.code for each in self.plans}
        if unknown:
            raise ValueError(f"no such plan: {', '.join(sorted(unknown))}")
        members = [each.model_dump() for each in self.plans]
        for each in members:
            each["stripe_price_id"] = prices.get(each["code"], each["stripe_price_id"])
        return Catalogue.model_validate({"plans": members})


def read_catalogue(path: Path) -> Catalogue:
    """The catalogue in the file. Raises OSError, tomllib.TOMLDecodeError, or pydantic.ValidationError."""
    with path.open("rb") as file:
        return Catalogue.model_validate(tomllib.load(file))


async def seed(session: ControlSession, catalogue: Catalogue) -> list[str]:
    """Write the catalogue's plans; the codes of those that were new or changed. Plans that it lacks stay."""
    written = [(each.code, await repository.upsert(session, each.model_dump(mode="json"))) for each in catalogue.plans]
    return [code for code, changed in written if changed]
