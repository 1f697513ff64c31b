"""Environment of the control stream. The connection and its transaction are the caller's."""

from alembic import context
from sqlalchemy import text

from migrations.metadata import CONTROL_METADATA
from migrations.scope import belongs_to_control
from tenants.database.names import CONTROL_SCHEMA

connection = context.config.attributes["connection"]
# Alembic's version table is in the schema that the first revision fills.
connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {CONTROL_SCHEMA}"))
context.configure(
    connection=connection,
    target_metadata=CONTROL_METADATA,
    version_table_schema=CONTROL_SCHEMA,
    include_schemas=True,
    include_name=belongs_to_control,
    compare_type=True,
    compare_server_default=True,
)
context.run_migrations()
