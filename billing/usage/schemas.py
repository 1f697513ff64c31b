"""Usage in responses."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from billing.usage.query import Group
from billing.usage.repository import UsageTotal
from tenants.identifiers import API_KEY, USER, WORKLOAD_RULE, show
from tenants.principal import PrincipalKind

_EXAMPLE: dict[str, JsonValue] = {
    "start": "2026-01-31T12:00:00Z",
    "route": "/v1/contacts/{id}",
    "requests": 1204,
    "cost": 1204,
}

_PREFIXES: Mapping[str, str] = {PrincipalKind.API_KEY: API_KEY, PrincipalKind.WORKLOAD: WORKLOAD_RULE}


class UsageResponse(BaseModel):
    """Requests within one bucket, which begins at ``start``, in UTC.

    Of ``key``, ``route`` and ``status`` only the member that the response is grouped by is present. ``key`` is the id
    of an API key, of the user whose access token was used, or of the rule that trusts a workload. ``route`` is
    ``unmatched`` for paths without a route.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    start: datetime
    key: str | None = None
    route: str | None = None
    status: str | None = None
    requests: int
    cost: Annotated[int, Field(description="What the requests counted as.")]

    @classmethod
    def of(cls, row: UsageTotal, group: Group) -> "UsageResponse":
        """Convert a row; only the grouped member is set."""
        grouped = {} if group is Group.NONE else {group.value: _group_value(row, group)}
        return cls(start=row.start, requests=row.requests, cost=row.cost, **grouped)


def _group_value(row: UsageTotal, group: Group) -> str:
    if isinstance(row.value, UUID):
        return show(_PREFIXES.get(row.kind or "", USER), row.value)
    return f"{row.value}xx" if group is Group.STATUS else str(row.value)
