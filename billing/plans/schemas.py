"""Plans as operators and the catalogue file write them: pydantic models."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from billing.plans.plan import MEMBERS
from tenants.values.errors import BadValue, with_pydantic_errors
from tenants.values.numbers import LARGEST_EXACT, WHOLE, whole_number
from tenants.values.shown import SHOWN, check_shown

_DAY = 86400
_LONGEST_TEXT = 200
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$"), Field(examples=["pro"])]
Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100, strip_whitespace=True),
    Field(examples=["Pro"]),
    SHOWN,
]
FeatureName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,49}$")]
PriceId = Annotated[str, StringConstraints(pattern=r"^price_[A-Za-z0-9_]{1,200}$"), Field(examples=["price_pro"])]
Rank = Annotated[int, Field(ge=0, le=1000), WHOLE]
Concurrency = Annotated[
    int,
    Field(ge=1, le=1_000_000, description="Maximum concurrent requests; null for no limit.", examples=[20]),
    WHOLE,
]
MonthlyQuota = Annotated[int, Field(ge=1, le=LARGEST_EXACT, examples=[1_000_000]), WHOLE]


class WindowSpec(BaseModel):
    """At most ``quota`` requests in any ``window_seconds`` seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[Code, Field(examples=["sustained"])]
    quota: Annotated[int, Field(ge=1, le=1_000_000_000, examples=[120]), WHOLE]
    window_seconds: Annotated[int, Field(ge=1, le=31 * _DAY, examples=[60]), WHOLE]


def _distinct(windows: list[WindowSpec]) -> list[WindowSpec]:
    """Reject windows with the same name or length: which one applies would be ambiguous."""
    if len({each.name for each in windows}) < len(windows):
        raise PydanticCustomError("duplicate", "Two windows have the same name.")
    if len({each.window_seconds for each in windows}) < len(windows):
        raise PydanticCustomError("duplicate", "Two windows have the same length.")
    return windows


def _feature(value: object) -> bool | int | str:
    """Validate a feature with one error message; a union would report one error per member type."""
    if isinstance(value, bool):
        return value
    number = whole_number(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(number, int) and 0 <= number <= LARGEST_EXACT:
        return number
    if isinstance(value, str) and len(value) <= _LONGEST_TEXT:
        return check_shown(value)
    largest = f"an integer from 0 to {LARGEST_EXACT}"
    raise BadValue("not_allowed", f"Must be true, false, {largest}, or a string of at most {_LONGEST_TEXT} characters.")


_FEATURE_SCHEMA = {
    "anyOf": [
        {"type": "boolean"},
        {"type": "integer", "minimum": 0, "maximum": LARGEST_EXACT},
        {"type": "string", "maxLength": _LONGEST_TEXT},
    ]
}
FeatureValue = Annotated[
    bool | int | str, PlainValidator(with_pydantic_errors(_feature)), WithJsonSchema(_FEATURE_SCHEMA)
]
Windows = Annotated[list[WindowSpec], Field(min_length=1, max_length=5), AfterValidator(_distinct)]


def _enforced(features: dict[str, Any]) -> dict[str, Any]:
    """Reject a limit that could not be enforced: Tenantry itself reads this one feature."""
    limit = features.get(MEMBERS, 1)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise PydanticCustomError("not_allowed", "The feature members must be a whole number, at least 1.")
    return features


Features = Annotated[
    dict[FeatureName, FeatureValue],
    Field(
        max_length=50,
        description="`members` limits the members of a tenant; the others are for the SaaS.",
        examples=[{"exports": True, "members": 10}],
    ),
    AfterValidator(_enforced),
]


class PlanSpec(BaseModel):
    """A complete plan. ``stripe_price_id`` is null for a plan that is not for sale."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Code
    name: Name
    rank: Rank = 1
    windows: Windows
    concurrency: Concurrency | None = None
    monthly_quota: MonthlyQuota | None = None
    features: Features = {}
    stripe_price_id: PriceId | None = None


def _not_sent() -> Any:
    """Placeholder for a member that was not sent; never read, since it is not in ``model_fields_set``."""


class PlanChange(BaseModel):
    """An update: only members that are sent change. The code of a plan cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(default_factory=_not_sent)
    rank: Rank = Field(default_factory=_not_sent)
    windows: Windows = Field(default_factory=_not_sent)
    concurrency: Concurrency | None = None
    monthly_quota: MonthlyQuota | None = None
    features: Features = Field(default_factory=_not_sent)
    stripe_price_id: PriceId | None = None
