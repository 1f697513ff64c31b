"""One row for each sign-in: what a person sees of their sessions, and whether it has ended.

Until now the end of a sign-in was a column of all its refresh tokens, ``family_ended_at``. The release before this one
still reads and writes that column while both serve (docs/decisions/0031), so triggers keep both in step:

- ``follow_token``: a token of an unknown family makes the sign-in, and the end of a token's family ends it;
- ``follow_end``: the end of a sign-in ends the family of its tokens.

The next release drops the column with these triggers.
"""

from alembic import op

from migrations.raw import run

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_TABLE = """
    CREATE TABLE tenantry.sign_ins (
        id uuid CONSTRAINT pk_sign_ins PRIMARY KEY,
        user_id uuid NOT NULL
            CONSTRAINT fk_sign_ins_user_id REFERENCES tenantry.users (id) ON DELETE CASCADE,
        tenant_id uuid NOT NULL
            CONSTRAINT fk_sign_ins_tenant_id REFERENCES tenantry.tenants (id) ON DELETE CASCADE,
        methods text[] NOT NULL,
        user_agent text NOT NULL DEFAULT '',
        started_at timestamptz NOT NULL DEFAULT now(),
        last_used_at timestamptz NOT NULL DEFAULT now(),
        ended_at timestamptz
    )
"""
_FOLLOW_NEW_OR_ENDED = """
    CREATE FUNCTION tenantry.follow_token() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO tenantry.sign_ins (id, user_id, tenant_id, methods)
                VALUES (NEW.family_id, NEW.user_id, NEW.tenant_id, '{pwd}')
                ON CONFLICT (id) DO NOTHING;
        ELSE
            UPDATE tenantry.sign_ins SET ended_at = NEW.family_ended_at
                WHERE id = NEW.family_id AND ended_at IS NULL;
        END IF;
        RETURN NEW;
    END
    $function$
"""
_FOLLOW_END = """
    CREATE FUNCTION tenantry.follow_end() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
    BEGIN
        UPDATE tenantry.refresh_tokens SET family_ended_at = NEW.ended_at, successor_sealed = NULL
            WHERE family_id = NEW.id AND family_ended_at IS NULL;
        RETURN NULL;
    END
    $function$
"""
# After the triggers, whose creation locks the table: no token is added between the two.
_FILL = """
    INSERT INTO tenantry.sign_ins (id, user_id, tenant_id, methods, started_at, last_used_at, ended_at)
        SELECT family_id, user_id, tenant_id, '{pwd}', min(issued_at), max(issued_at), max(family_ended_at)
        FROM tenantry.refresh_tokens GROUP BY family_id, user_id, tenant_id
"""
# Access tokens end with their sign-in. A refresh changes no rights and needs no notification.
_ANNOUNCE_END = """
    CREATE TRIGGER announce_end AFTER UPDATE ON tenantry.sign_ins FOR EACH ROW
        WHEN (OLD.ended_at IS DISTINCT FROM NEW.ended_at)
        EXECUTE FUNCTION tenantry.announce_change('user', 'user_id')
"""
_ON_NEW_FAMILY = """
    CREATE TRIGGER follow_new_token BEFORE INSERT ON tenantry.refresh_tokens FOR EACH ROW
        EXECUTE FUNCTION tenantry.follow_token()
"""
_ON_ENDED_FAMILY = """
    CREATE TRIGGER follow_ended_token AFTER UPDATE ON tenantry.refresh_tokens FOR EACH ROW
        WHEN (OLD.family_ended_at IS NULL AND NEW.family_ended_at IS NOT NULL)
        EXECUTE FUNCTION tenantry.follow_token()
"""
_ON_END = """
    CREATE TRIGGER follow_end AFTER UPDATE ON tenantry.sign_ins FOR EACH ROW
        WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL)
        EXECUTE FUNCTION tenantry.follow_end()
"""
_FAMILY_IS_SIGN_IN = """
    ALTER TABLE tenantry.refresh_tokens ADD CONSTRAINT fk_refresh_tokens_family_id
        FOREIGN KEY (family_id) REFERENCES tenantry.sign_ins (id) ON DELETE CASCADE
"""
_STATEMENTS = (
    _TABLE,
    "CREATE INDEX ix_sign_ins_user_id ON tenantry.sign_ins (user_id)",
    "CREATE INDEX ix_sign_ins_tenant_id ON tenantry.sign_ins (tenant_id)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.sign_ins TO tenantry_control",
    _FOLLOW_NEW_OR_ENDED,
    _FOLLOW_END,
    "REVOKE EXECUTE ON FUNCTION tenantry.follow_token(), tenantry.follow_end() FROM PUBLIC",
    "DROP TRIGGER announce_end ON tenantry.refresh_tokens",
    _ANNOUNCE_END,
    _ON_NEW_FAMILY,
    _ON_ENDED_FAMILY,
    _FILL,
    _ON_END,
    _FAMILY_IS_SIGN_IN,
)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in _STATEMENTS:
        run(connection, statement)
