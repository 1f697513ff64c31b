"""What is counted, and how much of it: the words that the workers' journals and the tables share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from tenants.identifiers import TenantId
from tenants.principal import PrincipalKind

UNMATCHED = "unmatched"  # the route of requests that no route answers to; a template begins with a slash


class Counted(NamedTuple):
    """Requests that are one row: of the same caller, to the same route, answered alike in the same minute."""

    minute: int  # minutes since the epoch
    tenant: TenantId
    principal: UUID  # the key's id, or the user's
    route: str  # template, such as /v1/contacts/{id}
    status_class: int  # 2 for 2xx
    kind: PrincipalKind


class Count(NamedTuple):
    """How many requests, and what they cost together."""

    requests: int
    cost: int

    def plus(self, other: "Count") -> "Count":
        """Both together."""
        return Count(self.requests + other.requests, self.cost + other.cost)


@dataclass(frozen=True, slots=True)
class Batch:
    """One segment of one worker's journal, complete: it is added as a whole, and once."""

    journal: UUID
    sequence: int
    counts: Mapping[Counted, Count]
