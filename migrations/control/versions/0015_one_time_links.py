"""One-time links, which are sent by mail. Only keyed hashes of their secrets are stored."""

from alembic import op

from migrations.raw import run

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_TABLE = """
    CREATE TABLE tenantry.one_time_links (
        id uuid CONSTRAINT pk_one_time_links PRIMARY KEY,
        purpose text NOT NULL,
        digest bytea NOT NULL CONSTRAINT uq_one_time_links_digest UNIQUE,
        email text NOT NULL,
        user_id uuid CONSTRAINT fk_one_time_links_user_id REFERENCES tenantry.users (id) ON DELETE CASCADE,
        tenant_id uuid CONSTRAINT fk_one_time_links_tenant_id REFERENCES tenantry.tenants (id) ON DELETE CASCADE,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL
    )
"""
_UNIQUE = """
    CREATE UNIQUE INDEX uq_one_time_links_address ON tenantry.one_time_links (purpose, lower(email), tenant_id)
    NULLS NOT DISTINCT
"""
_STATEMENTS = (
    _TABLE,
    _UNIQUE,
    "CREATE INDEX ix_one_time_links_expires_at ON tenantry.one_time_links (expires_at)",
    "CREATE INDEX ix_one_time_links_user_id ON tenantry.one_time_links (user_id)",
    "CREATE INDEX ix_one_time_links_tenant_id ON tenantry.one_time_links (tenant_id)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.one_time_links TO tenantry_control",
)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in _STATEMENTS:
        run(connection, statement)
