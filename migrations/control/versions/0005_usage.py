"""Usage by minute, and the batches that were added.

Later revisions can aggregate into hours and days in tables of the same shape and delete the minutes: both keys start
with the tenant, so this runs tenant by tenant along the primary key. Batches can be deleted by age, once no journal of
that age can reappear.
"""

from alembic import op

from migrations.raw import run

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

# No foreign key: a row of a tenant that was just deleted must not fail the batch.
_TABLES = {
    "usage_minutes": """
        tenant_id uuid NOT NULL,
        minute timestamptz NOT NULL,
        principal_id uuid NOT NULL,
        route text NOT NULL,
        status_class smallint NOT NULL
            CONSTRAINT ck_usage_minutes_status_class CHECK (status_class BETWEEN 1 AND 5),
        kind text NOT NULL CONSTRAINT ck_usage_minutes_kind CHECK (kind IN ('api_key', 'user')),
        requests bigint NOT NULL,
        cost bigint NOT NULL,
        CONSTRAINT pk_usage_minutes PRIMARY KEY (tenant_id, minute, principal_id, route, status_class)
    """,
    "usage_batches": """
        journal_id uuid NOT NULL,
        sequence bigint NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_usage_batches PRIMARY KEY (journal_id, sequence)
    """,
}
_INDEX = (
    "CREATE INDEX ix_usage_minutes_tenant_id_principal_id_minute"
    " ON tenantry.usage_minutes (tenant_id, principal_id, minute)"
)


def upgrade() -> None:
    connection = op.get_bind()
    for table, columns in _TABLES.items():
        run(connection, f"CREATE TABLE tenantry.{table} ({columns})")
        run(connection, f"GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.{table} TO tenantry_control")
    run(connection, _INDEX)
