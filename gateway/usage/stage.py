"""The stage behind which a request is used: every stage before it has let it pass."""

from gateway.request.context import RequestContext
from gateway.usage.errors import UsageJournalFull
from gateway.usage.journal import Journal


class UsageStage:
    """Marks the requests of tenant principals to be counted, with the cost of their route, when they end.

    Raises UsageJournalFull while what would be used could not be counted.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __call__(self, request: RequestContext) -> None:
        if request.principal is not None and request.route is not None:
            if self._journal.full:
                raise UsageJournalFull(detail="usage can neither be journalled nor rolled up")
            request.cost = request.route.cost
