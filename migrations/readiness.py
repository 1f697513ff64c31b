"""Whether the control schema is at least as new as this code, asked by the gateway itself."""

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from migrations.streams import control_stream, heads
from tenants.database.sessions import ControlSession

_STANDING = text("SELECT version_num FROM alembic_version")


class ControlRevision:
    """What this code needs, read once from its own migrations."""

    def __init__(self) -> None:
        stream = control_stream()
        self._wanted = frozenset(heads(stream))
        self._known = frozenset(each.revision for each in stream.walk_revisions())

    async def is_current(self, session: ControlSession) -> bool:
        """True at our own head, and past it: during a rollout the schema is already the next version's (OP4)."""
        try:
            standing = set(await session.scalars(_STANDING))
        except ProgrammingError:  # nothing was ever migrated
            return False
        return standing >= self._wanted or bool(standing - self._known)
