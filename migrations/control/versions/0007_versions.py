"""Control rows that callers see count their changes, as tenants' rows do: ETag and If-Match need a version.

A trigger counts, so that no statement can forget. It runs only when something changes, as the announcements do.
"""

from alembic import op

from migrations.raw import run

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_COUNT = """
    CREATE FUNCTION tenantry.count_version() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
    BEGIN
        NEW.version := OLD.version + 1;
        RETURN NEW;
    END
    $function$
"""
_TABLES = ("tenants", "users", "memberships", "operator_keys", "api_keys", "plans", "stripe_events")


def upgrade() -> None:
    connection = op.get_bind()
    run(connection, _COUNT)
    run(connection, "REVOKE EXECUTE ON FUNCTION tenantry.count_version() FROM PUBLIC")
    for table in _TABLES:
        run(connection, f"ALTER TABLE tenantry.{table} ADD COLUMN version integer NOT NULL DEFAULT 1")
        run(
            connection,
            f"CREATE TRIGGER count_version BEFORE UPDATE ON tenantry.{table} FOR EACH ROW"
            " WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION tenantry.count_version()",
        )
