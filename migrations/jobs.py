"""The tables of procrastinate in schema ``tenantry``. The library ships its own SQL, for a new installation and for
each step between versions; we store the name of the last applied step as a comment on the table of jobs.
"""

from pathlib import Path

from procrastinate.schema import SchemaManager
from sqlalchemy import Connection, text

from migrations.raw import run
from tenants.database.names import CONTROL_SCHEMA

_JOBS = f"{CONTROL_SCHEMA}.procrastinate_jobs"
_ENTER = text("SELECT set_config('search_path', :schema, true)")

# New functions are executable by PUBLIC by default. Tables need their sequences granted as well.
_GRANTS = """
    DO $block$
    DECLARE
        item record;
    BEGIN
        FOR item IN
            SELECT oid::regclass AS name, relkind FROM pg_class
            WHERE relnamespace = 'tenantry'::regnamespace AND relname LIKE 'procrastinate!_%' ESCAPE '!'
                AND relkind IN ('r', 'S')
        LOOP
            EXECUTE format(
                CASE item.relkind WHEN 'S' THEN 'GRANT USAGE ON SEQUENCE %s TO tenantry_control'
                ELSE 'GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE %s TO tenantry_control' END, item.name);
        END LOOP;
        FOR item IN
            SELECT oid::regprocedure AS name FROM pg_proc
            WHERE pronamespace = 'tenantry'::regnamespace AND proname LIKE 'procrastinate!_%' ESCAPE '!'
        LOOP
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', item.name);
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO tenantry_control', item.name);
        END LOOP;
    END
    $block$
"""


def make_job_tables(connection: Connection) -> None:
    """Create the tables of the installed library in the caller's transaction, unless they exist."""
    if _current_step(connection) is not None:
        return
    connection.execute(_ENTER, {"schema": CONTROL_SCHEMA})
    run(connection, SchemaManager.get_schema())
    _finish(connection, _steps()[-1])


def upgrade_job_tables(connection: Connection) -> None:
    """Apply the installed library's newer steps, each in its own transaction.

    A new enum value cannot be used in the transaction that adds it, and the library relies on separate transactions.
    """
    with connection.begin():
        current = _current_step(connection) or ""
    for step in steps_after(current):
        with connection.begin():
            connection.execute(_ENTER, {"schema": CONTROL_SCHEMA})
            run(connection, step.read_text())
            _finish(connection, step)


def steps_after(current: str) -> list[Path]:
    """The library's steps after this one, in order.

    A file is named ``<version>_<number>_<pre or post>_…`` (procrastinate's manual, "Migrations").
    """
    return [step for step in _steps() if step.name > current]


def _steps() -> list[Path]:
    return sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))


def _current_step(connection: Connection) -> str | None:
    comment = text("SELECT obj_description(to_regclass(:table), 'pg_class')")
    found: str | None = connection.execute(comment, {"table": _JOBS}).scalar()
    return found


def _finish(connection: Connection, step: Path) -> None:
    run(connection, _GRANTS)
    run(connection, f"COMMENT ON TABLE {_JOBS} IS '{step.name}'")
