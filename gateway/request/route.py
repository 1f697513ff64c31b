"""What the gate knows of a route before anybody answers: its template, who may call it, what it costs."""

from dataclasses import dataclass
from enum import Enum, auto

from starlette.types import ASGIApp

from tenants.resources.costs import MOST_COST, is_cost


class Audience(Enum):
    """Who a route is for."""

    EVERYBODY = auto()
    TENANTS = auto()  # whoever comes with a tenant's credential
    OPERATORS = auto()  # the SaaS's own staff


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may call a route. ``permission`` narrows it to tenant principals whose roles and scopes hold that one."""

    audience: Audience
    permission: str | None = None


PUBLIC = Guard(Audience.EVERYBODY)


@dataclass(frozen=True, slots=True, eq=False)  # each is one of its kind, and found at once by whoever keeps some
class Route:
    """One method of one path. ``app`` answers; it is called with the scope, ``path_params`` in it.

    Raises ValueError for a cost that cannot be charged.
    """

    method: str
    template: str  # /v1/contacts/{id}; {rest:path} at its end takes whatever follows
    guard: Guard
    app: ASGIApp
    cost: int = 1  # tokens of every window, and what the request counts for in its tenant's usage

    def __post_init__(self) -> None:
        if not is_cost(self.cost):
            raise ValueError(f"{self.method} {self.template} costs {self.cost!r}, and may cost 1 to {MOST_COST}")
