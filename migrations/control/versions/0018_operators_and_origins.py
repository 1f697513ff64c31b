"""Why and since when a tenant is suspended, and the origins whose pages may call for it.

``tenants`` announces every change already. A tenant that is suspended by an older release has neither time nor reason.
"""

from alembic import op

from migrations.raw import run

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    run(
        op.get_bind(),
        """
        ALTER TABLE tenantry.tenants
            ADD COLUMN suspended_at timestamptz,
            ADD COLUMN suspension_reason text,
            ADD COLUMN allowed_origins text[] NOT NULL DEFAULT '{}'
        """,
    )
