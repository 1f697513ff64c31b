"""Second factors of people, the sign-ins that wait for one, and tenants that require one.

Principals do not depend on the new tables: a change of factors ends sessions, which is announced. ``require_mfa`` is a
column of ``tenants``, whose changes are announced already.
"""

from alembic import op

from migrations.raw import run

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def _of_user(table: str, *, required: bool = True) -> str:
    null = " NOT NULL" if required else ""
    constraint = f"CONSTRAINT fk_{table}_user_id REFERENCES tenantry.users (id) ON DELETE CASCADE"
    return f"user_id uuid{null} {constraint}"


_TABLES = {
    "totp_factors": f"""
        id uuid CONSTRAINT pk_totp_factors PRIMARY KEY,
        {_of_user("totp_factors")},
        secret_sealed bytea NOT NULL,
        last_step bigint,
        created_at timestamptz NOT NULL DEFAULT now(),
        confirmed_at timestamptz
    """,
    "passkeys": f"""
        id uuid CONSTRAINT pk_passkeys PRIMARY KEY,
        {_of_user("passkeys")},
        credential_id bytea NOT NULL CONSTRAINT uq_passkeys_credential_id UNIQUE,
        public_key bytea NOT NULL,
        sign_count bigint NOT NULL,
        synced boolean NOT NULL,
        transports text[] NOT NULL,
        name text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        last_used_at timestamptz,
        version integer NOT NULL DEFAULT 1
    """,
    "recovery_codes": f"""
        id uuid CONSTRAINT pk_recovery_codes PRIMARY KEY,
        {_of_user("recovery_codes")},
        digest bytea NOT NULL CONSTRAINT uq_recovery_codes_digest UNIQUE
    """,
    "mfa_challenges": f"""
        id uuid CONSTRAINT pk_mfa_challenges PRIMARY KEY,
        purpose text NOT NULL,
        digest bytea NOT NULL CONSTRAINT uq_mfa_challenges_digest UNIQUE,
        {_of_user("mfa_challenges", required=False)},
        tenant_id uuid
            CONSTRAINT fk_mfa_challenges_tenant_id REFERENCES tenantry.tenants (id) ON DELETE CASCADE,
        password_digest bytea,
        methods text[] NOT NULL DEFAULT '{{}}',
        expires_at timestamptz NOT NULL
    """,
}
_COUNT_VERSION = """
    CREATE TRIGGER count_version BEFORE UPDATE ON tenantry.passkeys FOR EACH ROW
        WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION tenantry.count_version()
"""
_STATEMENTS = (
    "CREATE UNIQUE INDEX uq_totp_factors_user_id ON tenantry.totp_factors (user_id, (confirmed_at IS NULL))",
    "CREATE INDEX ix_passkeys_user_id ON tenantry.passkeys (user_id)",
    "CREATE INDEX ix_recovery_codes_user_id ON tenantry.recovery_codes (user_id)",
    "CREATE INDEX ix_mfa_challenges_expires_at ON tenantry.mfa_challenges (expires_at)",
    _COUNT_VERSION,
    "ALTER TABLE tenantry.tenants ADD COLUMN require_mfa boolean NOT NULL DEFAULT false",
)


def upgrade() -> None:
    connection = op.get_bind()
    for table, columns in _TABLES.items():
        run(connection, f"CREATE TABLE tenantry.{table} ({columns})")
        run(connection, f"GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.{table} TO tenantry_control")
    for statement in _STATEMENTS:
        run(connection, statement)
