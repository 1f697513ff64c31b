"""Whether the control schema is at least as new as this code, for the gateway's readiness."""

from dataclasses import dataclass
from functools import cache

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from migrations.streams import control_stream, heads, revisions_of
from tenants.database.sessions import ControlSession

_CURRENT = text("SELECT version_num FROM alembic_version ORDER BY version_num")


@dataclass(frozen=True, slots=True)
class ControlRevisionStatus:
    """The control schema's revisions, this code's target, and whether a migration is needed."""

    revisions: tuple[str, ...]
    target: tuple[str, ...]
    behind: bool


@cache
def _own() -> tuple[tuple[str, ...], frozenset[str]]:
    stream = control_stream()
    return heads(stream), revisions_of(stream)


class ControlRevision:
    """The revisions that this code needs, read once from its own migrations."""

    def __init__(self) -> None:
        self._target, self._known = _own()

    async def status(self, session: ControlSession) -> ControlRevisionStatus:
        """Not behind at this code's heads or at newer ones: a rollout migrates before it replaces workers (OP4)."""
        try:
            revisions = tuple(await session.scalars(_CURRENT))
        except ProgrammingError:  # no migration has run yet
            revisions = ()
        current = set(revisions).issuperset(self._target) or bool(set(revisions) - self._known)
        return ControlRevisionStatus(revisions, self._target, behind=not current)
