"""Limits of failed sign-ins, which all workers share, and the places that members have signed in from.

Keys and places are keyed hashes, so that a dump shows neither addresses nor what was typed.
"""

from alembic import op

from migrations.raw import run

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_TABLES = {
    "sign_in_allowances": """
        key bytea CONSTRAINT pk_sign_in_allowances PRIMARY KEY,
        until timestamptz NOT NULL
    """,
    "sign_in_places": """
        user_id uuid NOT NULL CONSTRAINT fk_sign_in_places_user_id
            REFERENCES tenantry.users (id) ON DELETE CASCADE,
        tenant_id uuid NOT NULL CONSTRAINT fk_sign_in_places_tenant_id
            REFERENCES tenantry.tenants (id) ON DELETE CASCADE,
        place bytea NOT NULL,
        seen_at timestamptz NOT NULL,
        CONSTRAINT pk_sign_in_places PRIMARY KEY (user_id, tenant_id, place)
    """,
}
_INDEXES = (
    "CREATE INDEX ix_sign_in_allowances_until ON tenantry.sign_in_allowances (until)",
    "CREATE INDEX ix_sign_in_places_tenant_id ON tenantry.sign_in_places (tenant_id, place)",
    "CREATE INDEX ix_sign_in_places_seen_at ON tenantry.sign_in_places (seen_at)",
)


def upgrade() -> None:
    connection = op.get_bind()
    for table, columns in _TABLES.items():
        run(connection, f"CREATE TABLE tenantry.{table} ({columns})")
        run(connection, f"GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.{table} TO tenantry_control")
    for index in _INDEXES:
        run(connection, index)
