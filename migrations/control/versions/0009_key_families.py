"""Families of API keys: what a key's limits bind beside itself, and which keys count as one for management requests.

Keys that exist have no family but their own, and their limits count for themselves, as they did. The older release
writes neither column; the newer one reads such keys the same way.
"""

from alembic import op

from migrations.raw import run

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

# No action on delete: the first key of a family stays for as long as there are others. Rows of keys are deleted with
# their tenant only, all in one statement.
_COLUMNS = """
    ALTER TABLE tenantry.api_keys
        ADD COLUMN binding_limits jsonb,
        ADD COLUMN family_id uuid
            CONSTRAINT fk_api_keys_family_id REFERENCES tenantry.api_keys (id),
        ADD COLUMN made_by_key boolean NOT NULL DEFAULT false
"""


def upgrade() -> None:
    connection = op.get_bind()
    run(connection, _COLUMNS)
    run(connection, "CREATE INDEX ix_api_keys_family_id ON tenantry.api_keys (family_id)")
