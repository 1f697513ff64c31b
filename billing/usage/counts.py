"""What is counted, in the terms shared by the workers' journals and the usage tables."""

from typing import NamedTuple

from tenants.principal import PrincipalKind

UNMATCHED = "unmatched"  # the route of requests without a matching route; templates start with a slash


class Counted(NamedTuple):
    """The key of one usage row: one caller, route, status class and minute.

    Ids are the bytes of UUIDs: UUID objects would be created, hashed and compared in Python.
    """

    minute: int  # minutes since the epoch
    tenant: bytes
    principal: bytes  # the key's id, the user's, or that of the rule that trusts a workload
    route: str  # template, such as /v1/contacts/{id}
    status_class: int  # 2 for 2xx
    kind: PrincipalKind


class Count(NamedTuple):
    """Number of requests and their total cost."""

    requests: int
    cost: int

    def plus(self, other: "Count") -> "Count":
        """The sum of both."""
        return Count(self.requests + other.requests, self.cost + other.cost)
