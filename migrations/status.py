"""The migration state of a deployment, read without changing anything."""

from dataclasses import dataclass
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from sqlalchemy import NullPool, create_engine, make_url, text

from migrations.engine import owner_engine
from migrations.fleet import TenantBehind, tenants_behind
from migrations.streams import control_stream, heads, known, tenant_stream
from tenants.database.names import CONTROL_ROLE, CONTROL_SCHEMA


@dataclass(frozen=True, slots=True)
class ControlStatus:
    """The revisions of schema ``tenantry`` and this code's target."""

    current: tuple[str, ...]
    target: tuple[str, ...]


def control_status(owner_url: str) -> ControlStatus:
    """Read both. Raises sqlalchemy.exc.DBAPIError."""
    with owner_engine(owner_url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table_schema": CONTROL_SCHEMA})
        return ControlStatus(tuple(sorted(context.get_current_heads())), heads(control_stream()))


def fleet_status(gateway_url: str, locations: tuple[Path, ...]) -> list[TenantBehind]:
    """The tenants that `tenantry migrate` would change, not those that are newer. Raises sqlalchemy.exc.DBAPIError."""
    engine = create_engine(make_url(gateway_url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"SET LOCAL ROLE {CONTROL_ROLE}"))
        stream = tenant_stream(locations)
        return [each for each in tenants_behind(connection, heads(stream)) if known(stream, each.revisions)]
