"""The prepared script of a new tenant: the tenant stream from nothing to its heads, rendered once."""

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
    """The database stands at revisions that this code does not have. Streams go forward only."""


def render_blueprint(locations: tuple[Path, ...] = ()) -> Script:
    """What a new tenant's schema is made of, as SQL. ``locations`` are the SaaS's own folders of revisions."""
    return render(tenant_stream(locations), ())


def store_blueprint(connection: Connection, stream: ScriptDirectory, append_only: list[str]) -> Script:
    """Make the stream's heads what new tenants are made of, in the caller's transaction.

    Waits for tenants that are being made, and those that come wait for the commit: afterwards no tenant is made from
    an older blueprint. Raises DatabaseIsNewer.
    """
    script = render(stream, ())
    wanted = (list(script.end), list(script.statements), append_only)
    connection.execute(text("LOCK TABLE tenantry.tenant_blueprints IN EXCLUSIVE MODE"))
    latest = connection.execute(_LATEST).one_or_none()
    if latest is not None and not known(stream, latest.revisions):
        raise DatabaseIsNewer(f"new tenants are made at {', '.join(latest.revisions)}, which this code does not have")
    if latest is None or tuple(latest) != wanted:
        connection.execute(_STORE, dict(zip(("revisions", "statements", "append_only"), wanted, strict=True)))
    return script


def append_only_tables(*metadata: MetaData) -> list[str]:
    """Names of the tables that are marked so, sorted."""
    tables = (table for each in metadata for table in each.tables.values())
    return sorted({table.name for table in tables if table.info.get(APPEND_ONLY)})
