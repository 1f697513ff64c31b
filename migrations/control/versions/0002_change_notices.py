"""Triggers notify every change of cached tables on one channel (docs/decisions/0002).

The payload is ``<kind> <id>``, sent at the commit of the change. Equal notifications of a transaction are sent once.
"""

from alembic import op

from migrations.raw import run

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

# Arguments: the kind, and the column that identifies the row in caches. Of a bytea, `\x…`, only the digits are sent.
_ANNOUNCE = r"""
    CREATE FUNCTION tenantry.announce_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
    DECLARE
        before text;
        after text;
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            before := regexp_replace(to_jsonb(OLD) ->> TG_ARGV[1], '^\\x', '');
            PERFORM pg_notify('tenantry_changes', TG_ARGV[0] || ' ' || before);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            after := regexp_replace(to_jsonb(NEW) ->> TG_ARGV[1], '^\\x', '');
            IF after IS DISTINCT FROM before THEN
                PERFORM pg_notify('tenantry_changes', TG_ARGV[0] || ' ' || after);
            END IF;
        END IF;
        RETURN NULL;
    END
    $function$
"""

# Table, kind, identifying column.
_ANNOUNCED = (
    ("api_keys", "api_key", "digest"),
    ("operator_keys", "operator_key", "digest"),
    ("users", "user", "id"),
    ("memberships", "user", "user_id"),
    ("tenants", "tenant", "id"),
    ("plans", "plan", "code"),
)


def upgrade() -> None:
    connection = op.get_bind()
    run(connection, _ANNOUNCE)
    run(connection, "REVOKE EXECUTE ON FUNCTION tenantry.announce_change() FROM PUBLIC")
    for table, kind, column in _ANNOUNCED:
        call = f"EXECUTE FUNCTION tenantry.announce_change('{kind}', '{column}')"
        run(
            connection,
            f"CREATE TRIGGER announce_insert_or_delete AFTER INSERT OR DELETE ON tenantry.{table} FOR EACH ROW {call}",
        )
        # Any column: a list of the columns that caches use would become outdated.
        run(
            connection,
            f"CREATE TRIGGER announce_update AFTER UPDATE ON tenantry.{table} FOR EACH ROW"
            f" WHEN (OLD.* IS DISTINCT FROM NEW.*) {call}",
        )
    # Access tokens end with their sign-in. A refresh changes no rights and needs no notification.
    run(
        connection,
        "CREATE TRIGGER announce_end AFTER UPDATE ON tenantry.refresh_tokens FOR EACH ROW"
        " WHEN (OLD.family_ended_at IS DISTINCT FROM NEW.family_ended_at)"
        " EXECUTE FUNCTION tenantry.announce_change('user', 'user_id')",
    )
