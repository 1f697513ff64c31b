"""Counts of the gate's decisions, to judge changes of roles against.

One row for each permission of a principal, with a count for each of eight days. Rows change every few seconds while
they are used: space is left for that in every page, and no index has a column that changes more than once a day.
"""

from alembic import op

from migrations.raw import run

revision: str = "0028"
down_revision: str | None = "0027"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_TABLE = """
    CREATE TABLE tenantry.decision_counts (
        tenant_id uuid NOT NULL
            CONSTRAINT fk_decision_counts_tenant_id REFERENCES tenantry.tenants (id) ON DELETE CASCADE,
        principal_id uuid NOT NULL,
        permission text NOT NULL,
        day date NOT NULL,
        allowed bigint[] NOT NULL,
        denied bigint[] NOT NULL,
        last_seen_at timestamptz NOT NULL,
        CONSTRAINT pk_decision_counts PRIMARY KEY (tenant_id, principal_id, permission)
    ) WITH (fillfactor = 70)
"""
_STATEMENTS = (
    _TABLE,
    "CREATE INDEX ix_decision_counts_day ON tenantry.decision_counts (day)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.decision_counts TO tenantry_control",
)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in _STATEMENTS:
        run(connection, statement)
