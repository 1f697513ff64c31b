"""Single sign-on: a connection for each tenant, its mail domains, linked identities, and sign-ins under way.

No worker caches these tables. What takes rights away (enforcement, roles by groups) changes ``sign_ins`` and
``memberships``, whose triggers announce it.
"""

from alembic import op

from migrations.raw import run

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_TABLES = {
    "sso_connections": """
        id uuid CONSTRAINT pk_sso_connections PRIMARY KEY,
        tenant_id uuid NOT NULL
            CONSTRAINT fk_sso_connections_tenant_id REFERENCES tenantry.tenants (id) ON DELETE CASCADE
            CONSTRAINT uq_sso_connections_tenant_id UNIQUE,
        issuer text NOT NULL,
        client_id text NOT NULL,
        client_secret bytea NOT NULL,
        default_role text NOT NULL,
        groups_claim text,
        group_roles jsonb NOT NULL DEFAULT '{}',
        enforced boolean NOT NULL DEFAULT false,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        version integer NOT NULL DEFAULT 1
    """,
    "sso_domains": """
        id uuid CONSTRAINT pk_sso_domains PRIMARY KEY,
        tenant_id uuid NOT NULL
            CONSTRAINT fk_sso_domains_tenant_id REFERENCES tenantry.tenants (id) ON DELETE CASCADE,
        domain text NOT NULL CONSTRAINT ck_sso_domains_domain CHECK (domain = lower(domain)),
        record text NOT NULL,
        verified_at timestamptz,
        seen_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        version integer NOT NULL DEFAULT 1,
        CONSTRAINT uq_sso_domains_tenant_id UNIQUE (tenant_id, domain)
    """,
    "sso_identities": """
        connection_id uuid NOT NULL CONSTRAINT fk_sso_identities_connection_id
            REFERENCES tenantry.sso_connections (id) ON DELETE CASCADE,
        subject text NOT NULL,
        user_id uuid NOT NULL CONSTRAINT fk_sso_identities_user_id
            REFERENCES tenantry.users (id) ON DELETE CASCADE,
        provisioned boolean NOT NULL,
        granted text[] NOT NULL,
        linked_at timestamptz NOT NULL DEFAULT now(),
        seen_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_sso_identities PRIMARY KEY (connection_id, subject),
        CONSTRAINT uq_sso_identities_user_id UNIQUE (connection_id, user_id)
    """,
    "sso_flows": """
        id uuid CONSTRAINT pk_sso_flows PRIMARY KEY,
        connection_id uuid NOT NULL CONSTRAINT fk_sso_flows_connection_id
            REFERENCES tenantry.sso_connections (id) ON DELETE CASCADE,
        state_digest bytea CONSTRAINT uq_sso_flows_state_digest UNIQUE,
        verifier_digest bytea NOT NULL,
        return_to text,
        user_id uuid CONSTRAINT fk_sso_flows_user_id REFERENCES tenantry.users (id) ON DELETE CASCADE,
        code_digest bytea CONSTRAINT uq_sso_flows_code_digest UNIQUE,
        expires_at timestamptz NOT NULL
    """,
}
_COUNTED = ("sso_connections", "sso_domains")
_INDEXES = (
    "CREATE UNIQUE INDEX uq_sso_domains_domain ON tenantry.sso_domains (domain) WHERE verified_at IS NOT NULL",
    "CREATE INDEX ix_sso_identities_user_id ON tenantry.sso_identities (user_id)",
    "CREATE INDEX ix_sso_flows_connection_id ON tenantry.sso_flows (connection_id)",
    "CREATE INDEX ix_sso_flows_user_id ON tenantry.sso_flows (user_id)",
    "CREATE INDEX ix_sso_flows_expires_at ON tenantry.sso_flows (expires_at)",
)


def upgrade() -> None:
    connection = op.get_bind()
    for table, columns in _TABLES.items():
        run(connection, f"CREATE TABLE tenantry.{table} ({columns})")
        run(connection, f"GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.{table} TO tenantry_control")
    for table in _COUNTED:
        run(
            connection,
            f"CREATE TRIGGER count_version BEFORE UPDATE ON tenantry.{table} FOR EACH ROW"
            " WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION tenantry.count_version()",
        )
    for index in _INDEXES:
        run(connection, index)
