"""Writes the next revision of a SaaS's own tables: the difference between its models and its tenants' schemas."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.operations.ops import UpgradeOps
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, MetaData, text

from migrations.engine import owner_engine
from migrations.metadata import TENANT_METADATA
from migrations.streams import tenant_stream, upgrade
from tenants.database.names import OWN_TABLES

_SCRATCH = "tenantry_scratch"
_OWN_BASE = "tenantry_0001"
_LONGEST_LABEL = 25  # with "_0001" it fits the 32 characters of Alembic's version table


class NothingChanged(Exception):
    """Models and revisions already agree."""


class SeveralHeads(Exception):
    """Two revisions of the folder have the same parent. Make one follow the other, then try again."""


def resources_migration(
    owner_url: str,
    message: str,
    location: Path,
    *,
    others: tuple[Path, ...] = (),
    models: MetaData = TENANT_METADATA,
) -> Path:
    """Write the next revision into ``location`` and return its path. The module of the models must be imported.

    Leaves the database unchanged: the scratch schema that is migrated to the heads is rolled back. ``others`` are
    further folders of revisions. Raises NothingChanged and SeveralHeads.
    """
    position = _position(tenant_stream((location, *others)), location)
    changes, imports = _changes(owner_url, position.stream, models)
    if not changes:
        raise NothingChanged("the models and the revisions agree")
    script = position.stream.generate_revision(
        position.next_revision,
        message,
        head=position.head or "base",
        version_path=location,
        branch_labels=None if position.head else position.label,
        depends_on=None if position.head else _OWN_BASE,
        upgrades=changes,
        imports=imports,
    )
    return Path(script.path) if script else location


def missing_operations(
    owner_url: str, location: Path, *, others: tuple[Path, ...] = (), models: MetaData = TENANT_METADATA
) -> str:
    """The Alembic operations that ``resources_migration`` would write, as Python; empty when there are none.

    Raises SeveralHeads.
    """
    return _changes(owner_url, _position(tenant_stream((location, *others)), location).stream, models)[0]


def comparison(connection: Connection, include: Callable[..., bool] | None = None) -> MigrationContext:
    """The context for comparing the tables on the search_path with models; ``include`` is Alembic's include_object."""
    options: dict[str, Any] = {"compare_type": True, "compare_server_default": True, "include_object": include}
    return MigrationContext.configure(connection, opts=options)


def _is_the_saas_own(_item: object, name: str | None, kind: str, *_: object) -> bool:
    """Tenantry's own tables in a tenant's schema have revisions of their own."""
    return kind != "table" or not (name or "").startswith(OWN_TABLES)


def difference(context: MigrationContext, metadata: MetaData) -> UpgradeOps:
    """The operations that would change the context's tables to match ``metadata``."""
    operations = produce_migrations(context, metadata).upgrade_ops
    return operations if operations is not None else UpgradeOps([])


@dataclass(frozen=True, slots=True)
class _Position:
    """The position of the next revision in the stream."""

    stream: ScriptDirectory
    label: str
    head: str | None
    next_revision: str


def _position(stream: ScriptDirectory, location: Path) -> _Position:
    own = [each for each in stream.walk_revisions() if Path(each.path).parent.resolve() == location.resolve()]
    tips = [each for each in own if each.is_head]
    if len(tips) > 1:
        raise SeveralHeads(", ".join(sorted(each.revision for each in tips)))
    label = _label(own, location)
    # Numbered by count, so that two branches choose the same name and version control shows the conflict.
    return _Position(stream, label, tips[0].revision if tips else None, f"{label}_{len(own) + 1:04d}")


def _label(own: list[Script], location: Path) -> str:
    """The branch's label; for the first revision, the name of the folder that holds ``location``."""
    labels = [label for each in own for label in sorted(each.branch_labels)]
    if labels:
        return labels[0]
    name = re.sub(r"[^a-z0-9]+", "_", location.resolve().parent.name.lower()).strip("_")
    return f"r_{name}"[:_LONGEST_LABEL] if not name or name[0].isdigit() else name[:_LONGEST_LABEL]


def _changes(owner_url: str, stream: ScriptDirectory, models: MetaData) -> tuple[str, str]:
    with owner_engine(owner_url).connect() as connection:
        transaction = connection.begin()
        connection.execute(text(f"CREATE SCHEMA {_SCRATCH}"))
        connection.execute(text(f"SET LOCAL search_path = {_SCRATCH}"))
        upgrade(stream, connection)
        context = comparison(connection, _is_the_saas_own)
        operations = difference(context, models)
        rendered = "" if operations.is_empty() else _code(operations, context)
        transaction.rollback()
    return rendered, "from sqlalchemy.dialects import postgresql" if "postgresql." in rendered else ""


def _code(operations: UpgradeOps, context: MigrationContext) -> str:
    lines = render_python_code(operations, migration_context=context).strip().splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("# ###")).strip()
