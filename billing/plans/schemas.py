"""Plans as operators and the catalogue file write them."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

_DAY = 86400
_LARGEST = 2**53  # what a double holds exactly, and so every client
_LONGEST_TEXT = 200
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]
FeatureName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,49}$")]
PriceId = Annotated[str, StringConstraints(pattern=r"^price_[A-Za-z0-9_]{1,200}$")]
# Strictly: no "1" for 1, and no true.
Rank = Annotated[int, Field(strict=True, ge=0, le=1000)]
Concurrency = Annotated[
    int, Field(strict=True, ge=1, le=1_000_000, description="Requests that may be in flight at once; null is no limit.")
]
MonthlyQuota = Annotated[int, Field(strict=True, ge=1, le=_LARGEST)]


class WindowSpec(BaseModel):
    """At most ``quota`` requests in any ``window_seconds`` seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Code
    quota: Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]
    window_seconds: Annotated[int, Field(strict=True, ge=1, le=31 * _DAY)]


def _distinct(windows: list[WindowSpec]) -> list[WindowSpec]:
    """Two that share a name or a length are refused: which of them is meant would be a guess."""
    if len({each.name for each in windows}) < len(windows):
        raise PydanticCustomError("duplicate", "Two windows have the same name.")
    if len({each.window_seconds for each in windows}) < len(windows):
        raise PydanticCustomError("duplicate", "Two windows have the same length.")
    return windows


def _feature(value: object) -> bool | int | str:
    """One answer for all that a feature may not be, where a union would tell of each of its types."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and 0 <= value <= _LARGEST:
        return value
    if isinstance(value, str) and len(value) <= _LONGEST_TEXT:
        return value
    message = f"Must be true, false, a whole number from 0 to 2**53, or text of at most {_LONGEST_TEXT} characters."
    raise PydanticCustomError("not_allowed", message)


_FEATURE_SCHEMA = {
    "anyOf": [
        {"type": "boolean"},
        {"type": "integer", "minimum": 0, "maximum": _LARGEST},
        {"type": "string", "maxLength": _LONGEST_TEXT},
    ]
}
FeatureValue = Annotated[bool | int | str, PlainValidator(_feature), WithJsonSchema(_FEATURE_SCHEMA)]
Windows = Annotated[list[WindowSpec], Field(min_length=1, max_length=5), AfterValidator(_distinct)]
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


def _left_out() -> Any:
    """Stands for what was not sent; never read, since it is not in ``model_fields_set``."""


class PlanChange(BaseModel):
    """What an update may change: the members that are given. The code names the plan for good."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(default_factory=_left_out)
    rank: Rank = Field(default_factory=_left_out)
    windows: Windows = Field(default_factory=_left_out)
    concurrency: Concurrency | None = None
    monthly_quota: MonthlyQuota | None = None
    features: Features = Field(default_factory=_left_out)
    stripe_price_id: PriceId | None = None
