"""Whether the control schema is at least as new as this code, asked by the gateway itself."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from migrations.streams import control_stream, heads, revisions_of
from tenants.database.sessions import ControlSession

_STANDING = text("SELECT version_num FROM alembic_version ORDER BY version_num")


@dataclass(frozen=True, slots=True)
class ControlStanding:
    """Where the control schema stands, where this code wants it, and whether it has that way before it."""

    revisions: tuple[str, ...]
    wanted: tuple[str, ...]
    behind: bool


class ControlRevision:
    """What this code needs, read once from its own migrations."""

    def __init__(self) -> None:
        stream = control_stream()
        self._wanted = heads(stream)
        self._known = revisions_of(stream)

    async def standing(self, session: ControlSession) -> ControlStanding:
        """Not behind at our own head, nor past it: during a rollout the schema is already the next version's (OP4)."""
        try:
            revisions = tuple(await session.scalars(_STANDING))
        except ProgrammingError:  # nothing was ever migrated
            revisions = ()
        current = set(revisions).issuperset(self._wanted) or bool(set(revisions) - self._known)
        return ControlStanding(revisions, self._wanted, behind=not current)
