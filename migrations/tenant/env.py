"""Environment of the tenant stream: no schema is named, search_path selects it (see ``streams.py``)."""

from alembic import context

from migrations.metadata import TENANT_METADATA

output = context.config.attributes.get("output")
if output is not None:
    context.configure(
        dialect_name="postgresql",
        target_metadata=TENANT_METADATA,  # its naming convention
        # `named` leaves percent signs alone; psycopg's own style would double them.
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
