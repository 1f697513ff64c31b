"""Versions of the routes to the SaaS team's own services (docs/decisions/0047).

A version is one document. The first is empty, so that there is always one in force.
"""

from alembic import op

from migrations.raw import run

revision: str = "0032"
down_revision: str | None = "0031"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_ANNOUNCE = "EXECUTE FUNCTION tenantry.announce_change('routes', 'number')"
_ON = "ON tenantry.route_versions FOR EACH ROW"
_STATEMENTS = (
    """
    CREATE TABLE tenantry.route_versions (
        number integer CONSTRAINT pk_route_versions PRIMARY KEY,
        configuration jsonb NOT NULL,
        changes text[] NOT NULL,
        restored integer,
        actor_kind text NOT NULL,
        actor_id uuid,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.route_versions TO tenantry_control",
    f"CREATE TRIGGER announce_insert_or_delete AFTER INSERT OR DELETE {_ON} {_ANNOUNCE}",
    f"CREATE TRIGGER announce_update AFTER UPDATE {_ON} WHEN (OLD.* IS DISTINCT FROM NEW.*) {_ANNOUNCE}",
    "INSERT INTO tenantry.route_versions (number, configuration, changes, actor_kind) VALUES (1, '{}', '{}', 'system')",
)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in _STATEMENTS:
        run(connection, statement)
