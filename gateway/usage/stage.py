"""The usage stage of the gate: requests that reach it are admitted; those that the plan pays for count as usage.

Every admitted request of an API key is a use of the key.
"""

from collections.abc import Callable
from copy import copy

from gateway.request.context import RequestContext
from gateway.request.route import Budget
from gateway.usage.errors import UsageJournalFull
from gateway.usage.recorder import UsageRecorder
from tenants.principal import Principal, PrincipalKind

Note = Callable[[Principal, float, str, int], None]


class UsageStage:
    """Sets the cost of requests that were charged to a tenant's plan, which are counted when they end.

    Raises UsageJournalFull while such requests could not be counted. Management requests are not usage: they go on.
    """

    def __init__(self, usage: UsageRecorder) -> None:
        self._journal = usage.journal
        self._note: Note = usage.key_uses.note

    def rehearsal(self) -> "UsageStage":
        """A stage that refuses as this one does, and notes no use."""
        other = copy(self)
        other.detach()
        return other

    def detach(self) -> None:
        """Note nothing from now on."""
        self._note = _ignore

    def __call__(self, request: RequestContext) -> None:
        route, principal = request.route, request.principal
        if principal is None:
            return
        if route is not None and route.terms.budget is Budget.PLAN:
            if self._journal.full:
                raise UsageJournalFull(detail="the usage journal is full and cannot be written to PostgreSQL")
            request.cost = route.terms.cost
        if principal.kind is PrincipalKind.API_KEY:
            self._note(principal, request.started, request.client, 0 if request.cost else 1)


def _ignore(_principal: Principal, _started: float, _address: str, _requests: int) -> None:
    """A rehearsed request uses no key."""
