"""The two Alembic streams: one schema ``tenantry``, and one that every tenant's schema follows.

Both are run by us and not by Alembic's command line, so each takes its connection, or its output, from
``Config.attributes``. Alembic keeps the running environment in module globals: one at a time in a process.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

_HERE = Path(__file__).parent
_FILE_NAMES = "%(rev)s_%(slug)s"


def control_stream() -> ScriptDirectory:
    """The stream of schema ``tenantry``."""
    return ScriptDirectory(str(_HERE / "control"), file_template=_FILE_NAMES, messaging_opts={"quiet": True})


def tenant_stream(locations: Sequence[Path] = ()) -> ScriptDirectory:
    """The stream of a tenant's schema: Tenantry's own base, and the folders of the SaaS's resources beside it."""
    own = _HERE / "tenant" / "versions"
    return ScriptDirectory(
        str(_HERE / "tenant"),
        file_template=_FILE_NAMES,
        messaging_opts={"quiet": True},  # what there is to say, the command line says
        version_locations=[str(own), *(str(each) for each in locations)],
    )


def heads(stream: ScriptDirectory) -> tuple[str, ...]:
    """What the version table holds when all is applied: sorted, and without what another head depends upon."""
    return tuple(sorted(stream.revision_map._real_heads))  # noqa: SLF001 - `heads` would count what is depended upon


def revisions_of(stream: ScriptDirectory) -> frozenset[str]:
    """Every revision of the stream."""
    return frozenset(each.revision for each in stream.walk_revisions())


def known(stream: ScriptDirectory, revisions: Iterable[str]) -> bool:
    """True when the stream has every one of them."""
    return revisions_of(stream).issuperset(revisions)


def upgrade(stream: ScriptDirectory, connection: Connection) -> None:
    """Bring what the connection sees to the stream's heads, in the transaction that the caller has begun."""

    def steps(revisions: Any, _context: MigrationContext) -> Any:
        return stream._upgrade_revs("heads", revisions)  # noqa: SLF001 - what Alembic's own `upgrade` command calls

    config = Config()
    config.attributes["connection"] = connection
    with EnvironmentContext(config, stream, fn=steps, destination_rev="heads"):
        stream.run_env()


@dataclass(frozen=True, slots=True)
class Script:
    """A migration as SQL: what brings a schema that stands at ``start`` to ``end``."""

    start: tuple[str, ...]
    end: tuple[str, ...]
    statements: tuple[str, ...]


def render(stream: ScriptDirectory, start: tuple[str, ...]) -> Script:
    """The statements from ``start`` to the stream's heads, version table included, without asking a database."""

    def steps(revisions: Any, _context: MigrationContext) -> Any:
        return stream._upgrade_revs("heads", revisions)  # noqa: SLF001 - as above

    output = _Statements()
    config = Config()
    config.attributes["output"] = output
    with EnvironmentContext(config, stream, fn=steps, as_sql=True, starting_rev=start or None):
        stream.run_env()
    return Script(start, heads(stream), tuple(output.statements))


class _Statements(StringIO):
    """Alembic writes one statement at a time: kept apart, so that nobody has to split SQL at semicolons."""

    def __init__(self) -> None:
        super().__init__()
        self.statements: list[str] = []

    def write(self, text: str) -> int:
        statement = text.strip().removesuffix(";")
        if statement and not statement.startswith("-- Running "):
            self.statements.append(statement)
        return len(text)
