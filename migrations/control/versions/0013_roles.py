"""Tenants' own roles. A change of one is announced as a change of its tenant, whose principals carry the roles."""

from alembic import op

from migrations.raw import run

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_TABLE = """
    CREATE TABLE tenantry.roles (
        id uuid CONSTRAINT pk_roles PRIMARY KEY,
        tenant_id uuid NOT NULL
            CONSTRAINT fk_roles_tenant_id REFERENCES tenantry.tenants (id) ON DELETE CASCADE,
        name text NOT NULL CONSTRAINT ck_roles_name CHECK (name ~ '^[A-Za-z][A-Za-z0-9_-]{0,49}$'),
        description text NOT NULL DEFAULT '',
        permissions text[] NOT NULL,
        inherits text[] NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        version integer NOT NULL DEFAULT 1
    )
"""
_ANNOUNCE = "EXECUTE FUNCTION tenantry.announce_change('tenant', 'tenant_id')"
_CHANGED = "WHEN (OLD.* IS DISTINCT FROM NEW.*)"
_COUNT = "EXECUTE FUNCTION tenantry.count_version()"
_STATEMENTS = (
    _TABLE,
    "CREATE UNIQUE INDEX uq_roles_name ON tenantry.roles (tenant_id, lower(name))",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.roles TO tenantry_control",
    f"CREATE TRIGGER announce_insert_or_delete AFTER INSERT OR DELETE ON tenantry.roles FOR EACH ROW {_ANNOUNCE}",
    f"CREATE TRIGGER announce_update AFTER UPDATE ON tenantry.roles FOR EACH ROW {_CHANGED} {_ANNOUNCE}",
    f"CREATE TRIGGER count_version BEFORE UPDATE ON tenantry.roles FOR EACH ROW {_CHANGED} {_COUNT}",
)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in _STATEMENTS:
        run(connection, statement)
