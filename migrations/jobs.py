"""The tables of procrastinate, in schema ``tenantry``. That library brings its own SQL, for a fresh start and for each
step between its versions; we only keep in mind which step was the last, as a comment on the table of jobs.
"""

from pathlib import Path

from procrastinate.schema import SchemaManager
from sqlalchemy import Connection, text

from migrations.raw import run
from tenants.database.names import CONTROL_SCHEMA

_JOBS = f"{CONTROL_SCHEMA}.procrastinate_jobs"
_ENTER = text("SELECT set_config('search_path', :schema, true)")

# PUBLIC gets EXECUTE on every new function by default. What the tables are granted, so are the sequences' next values.
_GRANTS = """
    DO $block$
    DECLARE
        thing record;
    BEGIN
        FOR thing IN
            SELECT oid::regclass AS name, relkind FROM pg_class
            WHERE relnamespace = 'tenantry'::regnamespace AND relname LIKE 'procrastinate!_%' ESCAPE '!'
                AND relkind IN ('r', 'S')
        LOOP
            EXECUTE format(
                CASE thing.relkind WHEN 'S' THEN 'GRANT USAGE ON SEQUENCE %s TO tenantry_control'
                ELSE 'GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE %s TO tenantry_control' END, thing.name);
        END LOOP;
        FOR thing IN
            SELECT oid::regprocedure AS name FROM pg_proc
            WHERE pronamespace = 'tenantry'::regnamespace AND proname LIKE 'procrastinate!_%' ESCAPE '!'
        LOOP
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', thing.name);
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO tenantry_control', thing.name);
        END LOOP;
    END
    $block$
"""


def make_job_tables(connection: Connection) -> None:
    """Make the tables as the installed library wants them, in the caller's transaction, unless they are there."""
    if _standing(connection) is not None:
        return
    connection.execute(_ENTER, {"schema": CONTROL_SCHEMA})
    run(connection, SchemaManager.get_schema())
    _finish(connection, _steps()[-1])


def bring_job_tables_forward(connection: Connection) -> None:
    """Take the steps that the installed library has made since, each in a transaction of its own.

    One cannot use a value that an enumeration was given in the same transaction, and the library counts on that.
    """
    with connection.begin():
        standing = _standing(connection) or ""
    for step in steps_after(standing):
        with connection.begin():
            connection.execute(_ENTER, {"schema": CONTROL_SCHEMA})
            run(connection, step.read_text())
            _finish(connection, step)


def steps_after(standing: str) -> list[Path]:
    """The library's migrations whose names come after that one's, in order.

    A file is named ``<version>_<number>_<pre or post>_…`` (procrastinate's manual, "Migrations").
    """
    return [step for step in _steps() if step.name > standing]


def _steps() -> list[Path]:
    return sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))


def _standing(connection: Connection) -> str | None:
    comment = text("SELECT obj_description(to_regclass(:table), 'pg_class')")
    found: str | None = connection.execute(comment, {"table": _JOBS}).scalar()
    return found


def _finish(connection: Connection, step: Path) -> None:
    run(connection, _GRANTS)
    run(connection, f"COMMENT ON TABLE {_JOBS} IS '{step.name}'")
