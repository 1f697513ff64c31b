"""The one face of counting: what the stages call, and what a worker starts and stops."""

from collections.abc import Callable

from starlette.types import Scope

from billing.usage.counts import UNMATCHED
from gateway.request_context import RequestContext, route_template
from gateway.usage.flusher import Flusher
from gateway.usage.journal import Journal
from gateway.usage.settings import UsageSettings
from tenants.database.sessions import Database

Counter = Callable[[Scope, RequestContext, int], None]
_CRASHED = 500


def count_nothing(_scope: Scope, _context: RequestContext, _status: int) -> None:
    """The ``Counter`` of an edge that has no usage behind it."""


class UsageRecorder:
    """Counts the requests of one worker process, and brings the counts to PostgreSQL."""

    def __init__(self, settings: UsageSettings, database: Database) -> None:
        self.journal = Journal(settings)
        self.flusher = Flusher(self.journal, database, settings)

    async def start(self) -> None:
        """Raises UsageFolderUnusable: what cannot count must not serve."""
        self.journal.open()
        self.flusher.start()

    async def close(self) -> None:
        """Roll up what was counted, as far as PostgreSQL takes it; the rest stays for the next start."""
        await self.flusher.close()
        self.journal.close()

    def count(self, scope: Scope, context: RequestContext, status: int) -> None:
        """Count a request that was admitted; ``status`` is 0 when it ended without an answer, which is a crash."""
        if context.cost and context.principal is not None:
            route = route_template(scope) or UNMATCHED
            self.journal.count(context.principal, route, (status or _CRASHED) // 100, context.cost)
