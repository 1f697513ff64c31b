"""Sign-ups that wait for their address to be confirmed."""

from alembic import op

from migrations.raw import run

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_TABLE = """
    CREATE TABLE tenantry.sign_ups (
        id uuid CONSTRAINT pk_sign_ups PRIMARY KEY,
        email text NOT NULL,
        name text NOT NULL,
        password_hash text NOT NULL,
        slug text NOT NULL CONSTRAINT uq_sign_ups_slug UNIQUE,
        tenant_name text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL
    )
"""
_STATEMENTS = (
    _TABLE,
    "CREATE INDEX ix_sign_ups_email ON tenantry.sign_ups (lower(email))",
    "CREATE INDEX ix_sign_ups_expires_at ON tenantry.sign_ups (expires_at)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.sign_ups TO tenantry_control",
)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in _STATEMENTS:
        run(connection, statement)
