"""The script that provisions a tenant: the whole tenant stream, rendered to SQL once."""

from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text

from migrations.streams import Script, known, render, tenant_stream
from tenants.database.base import APPEND_ONLY

_LATEST = text(
    "SELECT revisions, statements, append_only FROM tenantry.tenant_blueprints ORDER BY made_at DESC LIMIT 1",
)
_STORE = text(
    "INSERT INTO tenantry.tenant_blueprints (revisions, statements, append_only)"
    " VALUES (:revisions, :statements, :append_only)"
    " ON CONFLICT (revisions) DO UPDATE SET statements = EXCLUDED.statements, append_only = EXCLUDED.append_only,"
    " made_at = clock_timestamp()",
)


class DatabaseIsNewer(Exception):
    """The database is at revisions that this code does not have. Streams go forward only."""


def render_blueprint(locations: tuple[Path, ...] = ()) -> Script:
    """The SQL of a new tenant's schema. ``locations`` are the SaaS's own folders of revisions."""
    return render(tenant_stream(locations), ())


def store_blueprint(connection: Connection, stream: ScriptDirectory, append_only: list[str]) -> Script:
    """Store the script of the stream's heads for new tenants, in the caller's transaction.

    Waits for tenants that are being created, and blocks new ones until the commit: afterwards no tenant is created
    from an older script. Raises DatabaseIsNewer.
    """
    script = render(stream, ())
    target = (list(script.end), list(script.statements), append_only)
    connection.execute(text("LOCK TABLE tenantry.tenant_blueprints IN EXCLUSIVE MODE"))
    latest = connection.execute(_LATEST).one_or_none()
    if latest is not None and not known(stream, latest.revisions):
        raise DatabaseIsNewer(f"new tenants start at {', '.join(latest.revisions)}, which this code does not have")
    if latest is None or tuple(latest) != target:
        connection.execute(_STORE, dict(zip(("revisions", "statements", "append_only"), target, strict=True)))
    return script


def append_only_tables(*metadata: MetaData) -> list[str]:
    """Names of the append-only tables, sorted."""
    tables = (table for each in metadata for table in each.tables.values())
    return sorted({table.name for table in tables if table.info.get(APPEND_ONLY)})
