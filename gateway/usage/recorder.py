"""The interface of usage counting for the gate and for the worker's life cycle."""

from billing.usage.counts import UNMATCHED
from billing.usage.service import Usage
from gateway.request.context import RequestContext
from gateway.usage.flusher import Flusher
from gateway.usage.journal import Journal
from gateway.usage.key_uses import KeyUses
from gateway.usage.settings import UsageSettings
from tenants.database.sessions import Database

_CRASHED = 500


class UsageRecorder:
    """Counts the requests of one worker process, and writes the counts to PostgreSQL."""

    def __init__(self, settings: UsageSettings, database: Database, usage: Usage) -> None:
        self.journal = Journal(settings)
        self.flusher = Flusher(self.journal, database, usage, settings)
        self.key_uses = KeyUses(database, usage, settings.flush_seconds)

    async def start(self) -> None:
        """Raises UsageFolderUnusable: a worker that cannot count must not serve."""
        self.journal.open()
        self.flusher.start()
        self.key_uses.start()

    async def close(self) -> None:
        """Write the counts, if PostgreSQL is available; the rest is written after the next start."""
        await self.flusher.close()
        self.journal.close()
        await self.key_uses.close()

    def count(self, request: RequestContext, status: int) -> None:
        """Count an admitted request. ``status`` is 0 when it ended without a response, which counts as a crash."""
        route = request.route
        if request.cost and request.principal is not None and route is not None:
            self.journal.count(
                request.principal, route.template or UNMATCHED, (status or _CRASHED) // 100, request.cost
            )
