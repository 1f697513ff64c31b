"""API keys: a description, metadata, disabled keys, when a key was rotated; and how each key is used.

``api_key_uses`` is a table of its own: its rows change every few seconds, and a change of ``api_keys`` is announced to
every worker and counts as a version. No foreign key: a row of a key that was just deleted must not fail the batch. A
trigger deletes the rows of deleted keys, in the order in which batches lock them, so that the two cannot deadlock.

The older release knows no disabled keys and accepts them: to refuse a key during the rollout, revoke it.
"""

from alembic import op

from migrations.raw import run

revision: str = "0025"
down_revision: str | None = "0024"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_COLUMNS = """
    ALTER TABLE tenantry.api_keys
        ADD COLUMN description text NOT NULL DEFAULT '',
        ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}',
        ADD COLUMN disabled_at timestamptz,
        ADD COLUMN rotated_at timestamptz
"""
# Keys whose overlap runs. An older release rotates without a time: such a key does not warn of its end.
_ROTATED = """
    UPDATE tenantry.api_keys AS old SET rotated_at = successor.created_at
    FROM tenantry.api_keys AS successor
    WHERE successor.rotated_from_id = old.id AND old.revoked_at IS NULL AND old.expires_at > now()
"""
_USES = """
    CREATE TABLE tenantry.api_key_uses (
        key_id uuid CONSTRAINT pk_api_key_uses PRIMARY KEY,
        requests bigint NOT NULL,
        last_used_at timestamptz NOT NULL,
        last_used_from text
    ) WITH (fillfactor = 70)
"""
_FORGET = """
    CREATE FUNCTION tenantry.forget_key_uses() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
    BEGIN
        DELETE FROM tenantry.api_key_uses WHERE key_id IN (
            SELECT key_id FROM tenantry.api_key_uses WHERE key_id IN (SELECT id FROM deleted)
            ORDER BY key_id FOR UPDATE
        );
        RETURN NULL;
    END
    $function$
"""
_FORGETS = """
    CREATE TRIGGER forget_uses AFTER DELETE ON tenantry.api_keys
        REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION tenantry.forget_key_uses()
"""
_STATEMENTS = (
    _COLUMNS,
    _ROTATED,
    _USES,
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.api_key_uses TO tenantry_control",
    _FORGET,
    "REVOKE EXECUTE ON FUNCTION tenantry.forget_key_uses() FROM PUBLIC",
    _FORGETS,
)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in _STATEMENTS:
        run(connection, statement)
