"""What is counted, and how much of it: the words that the workers' journals and the tables share."""

from typing import NamedTuple

from tenants.principal import PrincipalKind

UNMATCHED = "unmatched"  # the route of requests that no route answers to; a template begins with a slash


class Counted(NamedTuple):
    """Requests that are one row: of the same caller, to the same route, answered alike in the same minute.

    Ids are the bytes of UUIDs: as objects they would be made, hashed and compared in Python, many for each row.
    """

    minute: int  # minutes since the epoch
    tenant: bytes
    principal: bytes  # the key's id, or the user's
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
