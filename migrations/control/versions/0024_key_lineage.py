"""Lineage of API keys: the key that made a key, and the owner whose rights bound it now (docs/decisions/0039).

Keys that exist, and those that the older release makes, have no ``owned_by``: they belong to the person who made them,
and without one to the tenant. So no row is written here, and the older release needs to know of nothing.
"""

from alembic import op

from migrations.raw import run

revision: str = "0024"
down_revision: str | None = "0023"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

# No action on delete of a key: rows of keys are deleted with their tenant only, all in one statement. A key whose
# person's account is deleted keeps ``owned_by``, so it never becomes the tenant's own.
_COLUMNS = """
    ALTER TABLE tenantry.api_keys
        ADD COLUMN created_by_key_id uuid
            CONSTRAINT fk_api_keys_created_by_key_id REFERENCES tenantry.api_keys (id),
        ADD COLUMN owned_by text
            CONSTRAINT ck_api_keys_owned_by CHECK (owned_by IN ('user', 'key', 'tenant')),
        ADD COLUMN owner_user_id uuid
            CONSTRAINT fk_api_keys_owner_user_id REFERENCES tenantry.users (id) ON DELETE SET NULL,
        ADD COLUMN owner_key_id uuid
            CONSTRAINT fk_api_keys_owner_key_id REFERENCES tenantry.api_keys (id)
"""
_SETTING = """
    ALTER TABLE tenantry.tenants
        ADD COLUMN member_keys text NOT NULL DEFAULT 'narrow'
            CONSTRAINT ck_tenants_member_keys CHECK (member_keys IN ('narrow', 'hand_over')),
        ADD COLUMN member_keys_to uuid
            CONSTRAINT fk_tenants_member_keys_to REFERENCES tenantry.users (id) ON DELETE SET NULL
"""
_OF_OLDER_RELEASES = """
    CREATE INDEX ix_api_keys_of_older_releases ON tenantry.api_keys (created_by_user_id)
        WHERE owned_by IS NULL AND created_by_user_id IS NOT NULL
"""


def upgrade() -> None:
    connection = op.get_bind()
    run(connection, _COLUMNS)
    run(connection, _SETTING)
    for column in ("created_by_key_id", "owner_key_id", "rotated_from_id", "owner_user_id"):
        run(
            connection,
            f"CREATE INDEX ix_api_keys_{column} ON tenantry.api_keys ({column}) WHERE {column} IS NOT NULL",
        )
    run(connection, _OF_OLDER_RELEASES)
