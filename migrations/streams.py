"""The two Alembic streams: one for schema ``tenantry``, one for every tenant's schema.

We run both, not Alembic's command line, so each gets its connection or its output from ``Config.attributes``. Alembic
keeps the running environment in module globals: run one at a time per process.
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
    """The stream of tenant schemas: Tenantry's own revisions and the SaaS's folders."""
    own = _HERE / "tenant" / "versions"
    return ScriptDirectory(
        str(_HERE / "tenant"),
        file_template=_FILE_NAMES,
        messaging_opts={"quiet": True},  # the command line reports progress itself
        version_locations=[str(own), *(str(each) for each in locations)],
    )


def heads(stream: ScriptDirectory) -> tuple[str, ...]:
    """The version table's contents after all revisions: sorted, without revisions that another head depends on."""
    return tuple(sorted(stream.revision_map._real_heads))  # noqa: SLF001 - `heads` includes dependencies


def revisions_of(stream: ScriptDirectory) -> frozenset[str]:
    """All revisions of the stream."""
    return frozenset(each.revision for each in stream.walk_revisions())


def known(stream: ScriptDirectory, revisions: Iterable[str]) -> bool:
    """Whether the stream contains all of them."""
    return revisions_of(stream).issuperset(revisions)


def upgrade(stream: ScriptDirectory, connection: Connection) -> None:
    """Migrate the schema on the connection's search_path to the stream's heads, in the caller's transaction."""

    def steps(revisions: Any, _context: MigrationContext) -> Any:
        return stream._upgrade_revs("heads", revisions)  # noqa: SLF001 - Alembic's own `upgrade` command calls it

    config = Config()
    config.attributes["connection"] = connection
    with EnvironmentContext(config, stream, fn=steps, destination_rev="heads"):
        stream.run_env()


@dataclass(frozen=True, slots=True)
class Script:
    """A migration as SQL, from ``start`` to ``end``."""

    start: tuple[str, ...]
    end: tuple[str, ...]
    statements: tuple[str, ...]


def render(stream: ScriptDirectory, start: tuple[str, ...]) -> Script:
    """Render the statements from ``start`` to the stream's heads, version table included, without a database."""

    def steps(revisions: Any, _context: MigrationContext) -> Any:
        return stream._upgrade_revs("heads", revisions)  # noqa: SLF001 - as above

    output = _Statements()
    config = Config()
    config.attributes["output"] = output
    with EnvironmentContext(config, stream, fn=steps, as_sql=True, starting_rev=start or None):
        stream.run_env()
    return Script(start, heads(stream), tuple(output.statements))


class _Statements(StringIO):
    """Collects Alembic's output statement by statement, so that no SQL has to be split at semicolons."""

    def __init__(self) -> None:
        super().__init__()
        self.statements: list[str] = []

    def write(self, text: str) -> int:
        statement = text.strip().removesuffix(";")
        if statement and not statement.startswith("-- Running "):
            self.statements.append(statement)
        return len(text)
