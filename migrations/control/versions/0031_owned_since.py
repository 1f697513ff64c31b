"""Since when a key has its owner (docs/decisions/0039).

A key of a person is of the membership that the person had then, and of no later one: it ends with that membership, in
the one change of removing the person, however many keys there are. Null, of keys that exist and of the older release,
is the time of the key's creation.
"""

from alembic import op

from migrations.raw import run

revision: str = "0031"
down_revision: str | None = "0030"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    run(op.get_bind(), "ALTER TABLE tenantry.api_keys ADD COLUMN owned_since timestamptz")
