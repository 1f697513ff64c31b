"""Members that are disabled in one tenant."""

from alembic import op

from migrations.raw import run

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    run(op.get_bind(), "ALTER TABLE tenantry.memberships ADD COLUMN disabled_at timestamptz")
