"""Which tenants this release can serve: decided by the revisions of a tenant's schema, not by what a migration did.

A tenant whose schema is older than the release can be served when its tables have every column that the release
declares, and it is at ``OLDEST_SERVABLE`` or later where the project names one (docs/decisions/0029). One at the
release's own revisions, or at newer ones, is served.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from alembic.script import ScriptDirectory
from alembic.util import to_tuple

from migrations.metadata import TENANT_METADATA
from migrations.repository import recorded_columns
from migrations.streams import heads, revisions_of, tenant_stream
from tenants.database.names import OWN_TABLES
from tenants.database.statements import Work
from tenants.resources.collection import Collection as Resource
from tenants.resources.errors import DeclarationError
from tenants.resources.registry import Registry

Revisions = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Oldest:
    """The oldest servable revision and its place in the tenant stream."""

    known: frozenset[str]  # every revision of this release
    earlier: frozenset[str]  # those that it follows, in its own branch
    reached: frozenset[str]  # itself, and those that follow it or depend on it

    def is_reached(self, revisions: Collection[str]) -> bool:
        """Whether a schema with this version table has it. Revisions of a later release have it."""
        if not self.reached.isdisjoint(revisions):
            return True
        return not self.known.issuperset(revisions) and self.earlier.isdisjoint(revisions)


@dataclass(frozen=True, slots=True)
class Release:
    """What this release needs of a tenant's schema, and the revisions that it migrates to."""

    columns: frozenset[str] = frozenset()  # `table.column`
    heads: Revisions = ()
    known: frozenset[str] = frozenset()  # every revision of the tenant stream
    oldest: Oldest | None = None

    @classmethod
    def of(cls, registry: Registry) -> "Release":
        """From the declared resources and the folders of their revisions, read once: a release does not change.

        Raises DeclarationError when the revisions cannot be read, or OLDEST_SERVABLE is not one of them.
        """
        try:
            stream = tenant_stream(registry.migrations)
            own, known = heads(stream), revisions_of(stream)
        except Exception as error:
            # A revision is a module of the project, which can fail in any way.
            raise DeclarationError("MIGRATIONS", f"the revisions cannot be read: {error}") from error
        oldest = None if registry.oldest_servable is None else _place(stream, known, registry.oldest_servable)
        return cls(needed_columns(registry.collections), own, known, oldest)

    def is_older(self, revisions: Revisions) -> bool:
        """Whether `tenantry migrate` would change the schema. Unknown revisions are those of the next release."""
        return revisions != self.heads and self.known.issuperset(revisions)

    def serves(self, revisions: Revisions, columns: Iterable[str] | None) -> bool:
        """Whether tenants at these revisions can be served. ``columns`` are theirs; None where they are unknown."""
        if self.oldest is not None and not self.oldest.is_reached(revisions):
            return False
        return not self.is_older(revisions) or columns is None or self.columns.issubset(columns)


class Servable:
    """Answers for the revisions of tenants that it has learnt about. One for each process."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self._answers: dict[Revisions, bool] = {}

    async def learn(self, reads: Work, revisions: Iterable[Revisions]) -> None:
        """Read the recorded columns, unless all of these revisions are known: a new set comes with a migration."""
        if self._answers.keys() >= set(revisions):
            return
        for at, columns in await recorded_columns(reads):
            self._answers[at] = self.release.serves(at, columns)

    def serves(self, revisions: Revisions) -> bool:
        """Whether a tenant at these revisions can be served."""
        found = self._answers.get(revisions)
        return self.release.serves(revisions, None) if found is None else found


def needed_columns(resources: Iterable[Resource]) -> frozenset[str]:
    """The columns of Tenantry's own tables in a tenant's schema, and of the tables declared beside the resources."""
    own = {table for table in TENANT_METADATA.tables.values() if table.name.startswith(OWN_TABLES)}
    declared = {table for resource in resources for table in resource.table.metadata.tables.values()}
    return frozenset(f"{table.name}.{column.name}" for table in own | declared for column in table.columns)


def _place(stream: ScriptDirectory, known: frozenset[str], oldest: str) -> Oldest:
    if oldest not in known:
        raise DeclarationError("OLDEST_SERVABLE", f"there is no revision {oldest!r} in MIGRATIONS")
    reached = frozenset(each for each in known if oldest in _with_ancestors(stream, each))
    return Oldest(known, frozenset(_earlier(stream, oldest)), reached)


def _with_ancestors(stream: ScriptDirectory, revision: str) -> frozenset[str]:
    """The revision, those that it follows, and those that any of them depends on."""
    return frozenset(each.revision for each in stream.iterate_revisions(revision, "base", implicit_base=True))


def _earlier(stream: ScriptDirectory, revision: str) -> set[str]:
    """Those that it follows, without those that it depends on: they are tips of branches of their own."""
    found: set[str] = set()
    following = [revision]
    while following:
        parents = set(to_tuple(stream.get_revision(following.pop()).down_revision, ()))
        following += parents - found
        found |= parents
    return found
