"""The stage behind which a request is used: every stage before it has let it pass."""

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.request_context import context_of
from gateway.usage.errors import UsageJournalFull
from gateway.usage.journal import Journal

_COST = 1  # of any request today


class UsageStage:
    """Marks the requests of tenant principals to be counted. The outermost stage, which sees the end, counts them.

    Raises UsageJournalFull while what would be used could not be counted.
    """

    def __init__(self, app: ASGIApp, journal: Journal) -> None:
        self._app = app
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            context = context_of(scope)
            if context.principal is not None:
                if self._journal.full:
                    raise UsageJournalFull(detail="usage can neither be journalled nor rolled up")
                context.cost = _COST
        await self._app(scope, receive, send)
