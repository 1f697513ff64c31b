"""Roles of operator keys. Keys that exist keep what they could do: everything."""

from alembic import op

from migrations.raw import run

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    run(
        op.get_bind(),
        """
        ALTER TABLE tenantry.operator_keys ADD COLUMN role text NOT NULL DEFAULT 'admin'
            CONSTRAINT ck_operator_keys_role CHECK (role IN ('admin', 'support', 'verifier'))
        """,
    )
