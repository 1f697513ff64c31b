"""The usage stage of the gate: requests that reach it are admitted and count as usage."""

from gateway.request.context import RequestContext
from gateway.usage.errors import UsageJournalFull
from gateway.usage.journal import Journal


class UsageStage:
    """Sets the cost of requests of tenant principals, which are counted when they end.

    Raises UsageJournalFull while requests could not be counted.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __call__(self, request: RequestContext) -> None:
        if request.principal is not None and request.route is not None:
            if self._journal.full:
                raise UsageJournalFull(detail="the usage journal is full and cannot be written to PostgreSQL")
            request.cost = request.route.terms.cost
