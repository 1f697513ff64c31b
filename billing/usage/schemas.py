"""Usage as a tenant sees it."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from billing.usage.question import Group
from billing.usage.repository import Summed
from tenants.identifiers import API_KEY, USER, show
from tenants.principal import PrincipalKind


class UsageShown(BaseModel):
    """Requests that were answered within one bucket, which begins at ``start``, in UTC.

    What the answer is grouped by says which of them, and is the only such member. ``key`` is the id of an API key, or
    of the user whose access token it was. ``route`` is ``unmatched`` where no route answers to the path.
    """

    start: datetime
    key: str | None = None
    route: str | None = None
    status: str | None = None
    requests: int
    cost: int

    @classmethod
    def of(cls, row: Summed, group: Group) -> "UsageShown":
        """The row, with the member that it is grouped by and no other."""
        shown = {} if group is Group.NONE else {group.value: _shown(row, group)}
        return cls(start=row.start, requests=row.requests, cost=row.cost, **shown)


def _shown(row: Summed, group: Group) -> str:
    if isinstance(row.value, UUID):
        return show(API_KEY if row.kind == PrincipalKind.API_KEY else USER, row.value)
    return f"{row.value}xx" if group is Group.STATUS else str(row.value)
