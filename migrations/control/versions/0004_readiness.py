"""Let the gateway read the control schema's revision, so that it is not ready before the migration."""

from alembic import op

from migrations.raw import run

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    run(op.get_bind(), "GRANT SELECT ON tenantry.alembic_version TO tenantry_control")
