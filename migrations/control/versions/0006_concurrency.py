"""The concurrency limit of a plan. Existing plans have none."""

from alembic import op

from migrations.raw import run

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    run(
        op.get_bind(),
        "ALTER TABLE tenantry.plans ADD COLUMN concurrency integer"
        " CONSTRAINT ck_plans_concurrency CHECK (concurrency >= 1)",
    )
