"""A plan as the rest of the house sees it: frozen, complete, free of SQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from billing.plans.models import PlanRow
from tenants.principal import Window

Feature = bool | int | str
DEFAULT_RANK = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a tenant on this plan may use. Two plans with the same content are equal."""

    code: str
    name: str
    rank: int  # of two entitled plans the higher rank wins; rank 0 is the plan of whoever has bought nothing
    windows: tuple[Window, ...]
    concurrency: int | None  # requests that may be in flight at once, over all keys and workers; None is unlimited
    monthly_quota: int | None  # requests in a billing period; None is unlimited
    features: Mapping[str, Feature]
    stripe_price_id: str | None
    version: int = 1  # counts changes of the stored row


def plan_of(row: PlanRow) -> Plan:
    """The plan that a stored row describes."""
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
