"""A plan as a frozen value, independent of the database."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from billing.plans.models import PlanRow
from tenants.principal import Window

Feature = bool | int | str
DEFAULT_RANK = 0
MEMBERS = "members"  # the feature that limits the members of a tenant; without it there is no limit


@dataclass(frozen=True, slots=True)
class Plan:
    """The limits and features of a plan. Plans with the same content are equal."""

    code: str
    name: str
    rank: int  # the highest entitled rank wins; rank 0 applies without a subscription
    windows: tuple[Window, ...]
    concurrency: int | None  # concurrent requests over all keys and workers; None is unlimited
    monthly_quota: int | None  # requests per billing period; None is unlimited
    features: Mapping[str, Feature]
    stripe_price_id: str | None
    version: int = 1  # counts changes of the stored row


def plan_of(row: PlanRow) -> Plan:
    """Convert a stored row."""
    return Plan(
        code=row.code,
        name=row.name,
        rank=row.rank,
        windows=tuple(Window(each["name"], each["quota"], each["window_seconds"]) for each in row.windows),
        concurrency=row.concurrency,
        monthly_quota=row.monthly_quota,
        features=MappingProxyType(dict(row.features)),
        stripe_price_id=row.stripe_price_id,
        version=row.version,
    )
