"""The usage stage of the gate: requests that reach it are admitted; those that the plan pays for count as usage."""

from gateway.request.context import RequestContext
from gateway.request.route import Budget
from gateway.usage.errors import UsageJournalFull
from gateway.usage.journal import Journal


class UsageStage:
    """Sets the cost of requests that were charged to a tenant's plan, which are counted when they end.

    Raises UsageJournalFull while such requests could not be counted. Management requests are not usage: they go on.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __call__(self, request: RequestContext) -> None:
        route = request.route
        if request.principal is not None and route is not None and route.terms.budget is Budget.PLAN:
            if self._journal.full:
                raise UsageJournalFull(detail="the usage journal is full and cannot be written to PostgreSQL")
            request.cost = route.terms.cost
