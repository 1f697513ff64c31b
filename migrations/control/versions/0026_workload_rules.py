"""Workload rules, and the outside tokens that they have exchanged.

A change of a rule is announced: principals are made from it. Usage rows name workloads beside keys and people; a wider
constraint in place of the one on kinds would read the whole table under an exclusive lock.
"""

from alembic import op

from migrations.raw import run

revision: str = "0026"
down_revision: str | None = "0025"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_TABLES = {
    "workload_rules": """
        id uuid CONSTRAINT pk_workload_rules PRIMARY KEY,
        tenant_id uuid NOT NULL
            CONSTRAINT fk_workload_rules_tenant_id REFERENCES tenantry.tenants (id) ON DELETE CASCADE,
        name text NOT NULL,
        issuer text NOT NULL,
        audience text NOT NULL,
        claims jsonb NOT NULL,
        role text NOT NULL,
        scopes text[],
        token_seconds smallint NOT NULL
            CONSTRAINT ck_workload_rules_token_seconds CHECK (token_seconds BETWEEN 1 AND 300),
        allowed_cidrs text[] NOT NULL DEFAULT '{}',
        single_use boolean NOT NULL DEFAULT true,
        enabled boolean NOT NULL DEFAULT true,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        version integer NOT NULL DEFAULT 1
    """,
    "workload_exchanges": """
        rule_id uuid NOT NULL
            CONSTRAINT fk_workload_exchanges_rule_id REFERENCES tenantry.workload_rules (id) ON DELETE CASCADE,
        token_digest bytea NOT NULL,
        expires_at timestamptz NOT NULL,
        CONSTRAINT pk_workload_exchanges PRIMARY KEY (rule_id, token_digest)
    """,
}
_CHANGED = "WHEN (OLD.* IS DISTINCT FROM NEW.*)"
_ANNOUNCE = "EXECUTE FUNCTION tenantry.announce_change('workload_rule', 'id')"
_ON = "ON tenantry.workload_rules FOR EACH ROW"
_OTHERS = (
    "CREATE INDEX ix_workload_rules_tenant_id ON tenantry.workload_rules (tenant_id)",
    "CREATE INDEX ix_workload_exchanges_expires_at ON tenantry.workload_exchanges (expires_at)",
    f"CREATE TRIGGER count_version BEFORE UPDATE {_ON} {_CHANGED} EXECUTE FUNCTION tenantry.count_version()",
    f"CREATE TRIGGER announce_insert_or_delete AFTER INSERT OR DELETE {_ON} {_ANNOUNCE}",
    f"CREATE TRIGGER announce_update AFTER UPDATE {_ON} {_CHANGED} {_ANNOUNCE}",
    "ALTER TABLE tenantry.usage_minutes DROP CONSTRAINT ck_usage_minutes_kind",
)


def upgrade() -> None:
    connection = op.get_bind()
    for table, columns in _TABLES.items():
        run(connection, f"CREATE TABLE tenantry.{table} ({columns})")
        run(connection, f"GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.{table} TO tenantry_control")
    for statement in _OTHERS:
        run(connection, statement)
