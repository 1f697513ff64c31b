"""Users and groups that a tenant's identity provider keeps with SCIM.

No trigger announces a change of the new tables: principals carry ``memberships``, which announces its own.
"""

from alembic import op

from migrations.raw import run

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_MEMBERSHIPS = """
    ALTER TABLE tenantry.memberships ADD COLUMN group_roles text[] NOT NULL DEFAULT '{}'
"""
_TENANTS = "ALTER TABLE tenantry.tenants ADD COLUMN scim_default_role text NOT NULL DEFAULT 'member'"
_USERS = """
    CREATE TABLE tenantry.scim_users (
        tenant_id uuid,
        user_id uuid,
        user_name text NOT NULL,
        external_id text,
        attributes jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        version integer NOT NULL DEFAULT 1,
        CONSTRAINT pk_scim_users PRIMARY KEY (tenant_id, user_id),
        CONSTRAINT fk_scim_users_tenant_id_user_id FOREIGN KEY (tenant_id, user_id)
            REFERENCES tenantry.memberships (tenant_id, user_id) ON DELETE CASCADE
    )
"""
_GROUPS = """
    CREATE TABLE tenantry.scim_groups (
        id uuid CONSTRAINT pk_scim_groups PRIMARY KEY,
        tenant_id uuid NOT NULL
            CONSTRAINT fk_scim_groups_tenant_id REFERENCES tenantry.tenants (id) ON DELETE CASCADE,
        display_name text NOT NULL,
        external_id text,
        role text,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        version integer NOT NULL DEFAULT 1,
        CONSTRAINT uq_scim_groups_tenant_id_id UNIQUE (tenant_id, id)
    )
"""
_GROUP_MEMBERS = """
    CREATE TABLE tenantry.scim_group_members (
        group_id uuid,
        user_id uuid,
        tenant_id uuid NOT NULL,
        CONSTRAINT pk_scim_group_members PRIMARY KEY (group_id, user_id),
        CONSTRAINT fk_scim_group_members_tenant_id_group_id FOREIGN KEY (tenant_id, group_id)
            REFERENCES tenantry.scim_groups (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT fk_scim_group_members_tenant_id_user_id FOREIGN KEY (tenant_id, user_id)
            REFERENCES tenantry.scim_users (tenant_id, user_id) ON DELETE CASCADE
    )
"""
_TABLES = ("scim_users", "scim_groups", "scim_group_members")
_VERSIONED = ("scim_users", "scim_groups")
_INDEXES = (
    "CREATE UNIQUE INDEX uq_scim_users_user_name ON tenantry.scim_users (tenant_id, lower(user_name))",
    "CREATE INDEX ix_scim_users_tenant_id_external_id ON tenantry.scim_users (tenant_id, external_id)",
    "CREATE UNIQUE INDEX uq_scim_groups_display_name ON tenantry.scim_groups (tenant_id, lower(display_name))",
    "CREATE INDEX ix_scim_group_members_tenant_id_user_id ON tenantry.scim_group_members (tenant_id, user_id)",
)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in (_MEMBERSHIPS, _TENANTS, _USERS, _GROUPS, _GROUP_MEMBERS, *_INDEXES):
        run(connection, statement)
    for table in _TABLES:
        run(connection, f"GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.{table} TO tenantry_control")
    for table in _VERSIONED:
        run(
            connection,
            f"CREATE TRIGGER count_version BEFORE UPDATE ON tenantry.{table} FOR EACH ROW"
            " WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION tenantry.count_version()",
        )
