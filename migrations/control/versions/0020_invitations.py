"""Invitations of addresses to tenants."""

from alembic import op

from migrations.raw import run

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_TABLE = """
    CREATE TABLE tenantry.invitations (
        id uuid CONSTRAINT pk_invitations PRIMARY KEY,
        tenant_id uuid NOT NULL
            CONSTRAINT fk_invitations_tenant_id REFERENCES tenantry.tenants (id) ON DELETE CASCADE,
        email text NOT NULL,
        role text NOT NULL,
        inviter_kind text NOT NULL,
        inviter_id uuid,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        sent_at timestamptz,
        sends integer NOT NULL DEFAULT 0,
        accepted_at timestamptz,
        accepted_by uuid CONSTRAINT fk_invitations_accepted_by REFERENCES tenantry.users (id) ON DELETE SET NULL,
        revoked_at timestamptz,
        version integer NOT NULL DEFAULT 1,
        CONSTRAINT ck_invitations_end CHECK (accepted_at IS NULL OR revoked_at IS NULL)
    )
"""
_CHANGED = "WHEN (OLD.* IS DISTINCT FROM NEW.*)"
_COUNT = "EXECUTE FUNCTION tenantry.count_version()"
_STATEMENTS = (
    _TABLE,
    "CREATE INDEX ix_invitations_tenant_id ON tenantry.invitations (tenant_id, lower(email))",
    "CREATE INDEX ix_invitations_accepted_by ON tenantry.invitations (accepted_by)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.invitations TO tenantry_control",
    f"CREATE TRIGGER count_version BEFORE UPDATE ON tenantry.invitations FOR EACH ROW {_CHANGED} {_COUNT}",
)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in _STATEMENTS:
        run(connection, statement)
