"""Environment of the tenant stream: no schema is named anywhere, search_path alone decides (see ``streams.py``)."""

from alembic import context

from migrations.metadata import TENANT_METADATA

output = context.config.attributes.get("output")
if output is not None:
    context.configure(
        dialect_name="postgresql",
        target_metadata=TENANT_METADATA,  # its naming convention
        # `named` writes a percent sign as it is; psycopg's own style would double it.
        dialect_opts={"paramstyle": "named"},
        output_buffer=output,
        literal_binds=True,
        transactional_ddl=False,  # the runner's transaction, not one in the script
    )
else:
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=TENANT_METADATA,
        compare_type=True,
        compare_server_default=True,
    )
context.run_migrations()
