"""Notices about keys, keys that were reported as leaked, and what a tenant has chosen for both.

Use of keys is recorded since revision 0025 only: keys that exist now count as noticed, so that none counts as unused
before 90 days have passed.
"""

from alembic import op

from migrations.raw import run

revision: str = "0029"
down_revision: str | None = "0028"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_TENANTS = """
    ALTER TABLE tenantry.tenants
        ADD COLUMN key_notices boolean NOT NULL DEFAULT true,
        ADD COLUMN leaked_keys text NOT NULL DEFAULT 'revoke'
            CONSTRAINT ck_tenants_leaked_keys CHECK (leaked_keys IN ('revoke', 'grace'))
"""
_NOTICES = """
    CREATE TABLE tenantry.api_key_notices (
        key_id uuid CONSTRAINT fk_api_key_notices_key_id REFERENCES tenantry.api_keys (id) ON DELETE CASCADE,
        kind text CONSTRAINT ck_api_key_notices_kind CHECK (kind IN ('expiry', 'unused')),
        expires_at timestamptz,
        days smallint,
        noticed_at timestamptz NOT NULL,
        CONSTRAINT pk_api_key_notices PRIMARY KEY (key_id, kind)
    )
"""
_LEAKED = """
    CREATE TABLE tenantry.leaked_keys (
        api_key_id uuid
            CONSTRAINT pk_leaked_keys PRIMARY KEY
            CONSTRAINT fk_leaked_keys_api_key_id REFERENCES tenantry.api_keys (id) ON DELETE CASCADE,
        tenant_id uuid NOT NULL
            CONSTRAINT fk_leaked_keys_tenant_id REFERENCES tenantry.tenants (id) ON DELETE CASCADE,
        source text NOT NULL,
        url text,
        response text NOT NULL CONSTRAINT ck_leaked_keys_response CHECK (response IN ('revoke', 'grace')),
        reported_at timestamptz NOT NULL DEFAULT now()
    )
"""
_KEYS_OF_NOW = """
    INSERT INTO tenantry.api_key_notices (key_id, kind, noticed_at)
        SELECT id, 'unused', now() FROM tenantry.api_keys WHERE revoked_at IS NULL
"""
_STATEMENTS = (
    _TENANTS,
    _NOTICES,
    _LEAKED,
    _KEYS_OF_NOW,
    "CREATE INDEX ix_leaked_keys_tenant_id ON tenantry.leaked_keys (tenant_id)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.api_key_notices, tenantry.leaked_keys TO tenantry_control",
)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in _STATEMENTS:
        run(connection, statement)
