"""What Tenantry itself keeps in every tenant's schema: nothing yet, but the place where a SaaS's own tables begin.

A SaaS's first revision has ``down_revision = None``, a branch label of its own and ``depends_on = ("tenantry_0001",)``.
"""

revision: str = "tenantry_0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = ("tenantry",)
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Nothing: the version table, which Alembic makes, is all."""
