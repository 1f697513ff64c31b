"""The log of changes becomes the audit log: origin, category, and the hash that chains each row to the one before."""

import sqlalchemy as sa
from alembic import op

revision: str = "tenantry_0003"
down_revision: str | None = "tenantry_0002"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    op.add_column("tenantry_events", sa.Column("category", sa.Text(), server_default="data", nullable=False))
    op.add_column("tenantry_events", sa.Column("request_id", sa.Text()))
    op.add_column("tenantry_events", sa.Column("source", sa.Text()))
    op.add_column("tenantry_events", sa.Column("reason", sa.Text()))
    op.add_column("tenantry_events", sa.Column("hash", sa.LargeBinary()))
    op.drop_index("ix_tenantry_events_unnumbered", "tenantry_events")
    op.create_index(
        "ix_tenantry_events_unchained",
        "tenantry_events",
        ["sequence", "created_at", "id"],
        postgresql_where=sa.text("hash IS NULL OR sequence IS NULL"),
    )
