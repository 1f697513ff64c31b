"""Plans as operators and the catalogue file write them."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

_DAY = 86400
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]
FeatureName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,49}$")]
FeatureText = Annotated[str, StringConstraints(max_length=200)]
FeatureValue = Annotated[bool, Field(strict=True)] | Annotated[int, Field(strict=True, ge=0, le=2**53)] | FeatureText
PriceId = Annotated[str, StringConstraints(pattern=r"^price_[A-Za-z0-9_]{1,200}$")]
Rank = Annotated[int, Field(ge=0, le=1000)]
Concurrency = Annotated[
    int, Field(ge=1, le=1_000_000, description="Requests that may be in flight at once; null is no limit.")
]
MonthlyQuota = Annotated[int, Field(ge=1, le=2**53)]


class WindowSpec(BaseModel):
    """At most ``quota`` requests in any ``window_seconds`` seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Code
    quota: Annotated[int, Field(ge=1, le=1_000_000_000)]
    window_seconds: Annotated[int, Field(ge=1, le=31 * _DAY)]


Windows = Annotated[tuple[WindowSpec, ...], Field(min_length=1, max_length=5)]
Features = Annotated[dict[FeatureName, FeatureValue], Field(max_length=50)]


class PlanSpec(BaseModel):
    """A whole plan. ``stripe_price_id`` is null for a plan that cannot be bought."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Code
    name: Name
    rank: Rank = 1
    windows: Windows
    concurrency: Concurrency | None = None
    monthly_quota: MonthlyQuota | None = None
    features: Features = {}
    stripe_price_id: PriceId | None = None

    @model_validator(mode="after")
    def _distinct_windows(self) -> Self:
        check_windows(self.windows)
        return self


class PlanChange(BaseModel):
    """What an update may change: the members that are given. The code names the plan for good."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name | None = None
    rank: Rank | None = None
    windows: Windows | None = None
    concurrency: Concurrency | None = None
    monthly_quota: MonthlyQuota | None = None
    features: Features | None = None
    stripe_price_id: PriceId | None = None

    @model_validator(mode="after")
    def _what_may_be_null(self) -> Self:
        for name in ("name", "rank", "windows", "features"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} may be left out, but not be null")
        if self.windows is not None:
            check_windows(self.windows)
        return self


def check_windows(windows: tuple[WindowSpec, ...]) -> None:
    """Raises ValueError when two windows share a name or a length: which of them is meant would be a guess."""
    if len({each.name for each in windows}) < len(windows):
        raise ValueError("two windows have the same name")
    if len({each.window_seconds for each in windows}) < len(windows):
        raise ValueError("two windows have the same length")
