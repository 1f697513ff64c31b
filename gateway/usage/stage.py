"""The usage stage of the gate: requests that reach it are admitted; those that the plan pays for count as usage.

Every admitted request of an API key is a use of the key.
"""

from copy import copy

from gateway.request.context import RequestContext
from gateway.request.route import Budget
from gateway.usage.errors import UsageJournalFull
from gateway.usage.recorder import UsageRecorder
from tenants.principal import PrincipalKind

_PLAN, _API_KEY = Budget.PLAN, PrincipalKind.API_KEY  # an attribute of an Enum is a slow look-up in Python 3.11


class UsageStage:
    """Sets the cost of requests that were charged to a tenant's plan, which are counted when they end.

    Raises UsageJournalFull while such requests could not be counted. Management requests are not usage: they go on.
    """

    def __init__(self, usage: UsageRecorder) -> None:
        self._journal = usage.journal
        self._uses = usage.key_uses

    def rehearsal(self) -> "UsageStage":
        """A stage that refuses as this one does, and notes no use."""
        other = copy(self)
        other.detach()
        return other

    def detach(self) -> None:
        """Note nothing where the stage that this is a copy of notes it."""
        self._uses = self._uses.rehearsal()

    def __call__(self, request: RequestContext) -> None:
        route, principal = request.route, request.principal
        if principal is None:
            return
        if route is not None and route.terms.budget is _PLAN and route.terms.per_source is None:
            if self._journal.full:
                raise UsageJournalFull(detail="the usage journal is full and cannot be written to PostgreSQL")
            request.cost = route.terms.cost
        if principal.kind is _API_KEY:
            noted = self._uses.noted.get(id(principal)) or self._uses.first(principal)
            noted.requests += not request.cost
            noted.at, noted.address = request.started, request.client
