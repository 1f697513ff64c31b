"""The tables of procrastinate, in schema ``tenantry``. That library brings its own SQL, for a fresh start and for each
step between its versions; we only keep in mind which version the tables are at, as a comment on the first of them.
"""

from importlib.metadata import version as installed_version
from pathlib import Path

from procrastinate.schema import SchemaManager
from sqlalchemy import Connection, text

from migrations.raw import run
from tenants.database.names import CONTROL_SCHEMA

_JOBS = f"{CONTROL_SCHEMA}.procrastinate_jobs"

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


def bring_jobs_up(connection: Connection) -> bool:
    """Bring the job tables to the installed version, in the caller's transaction. False when they are there already."""
    standing = _standing(connection)
    installed = installed_version("procrastinate")
    if standing == installed:
        return False
    connection.execute(text("SELECT set_config('search_path', :schema, true)"), {"schema": CONTROL_SCHEMA})
    if standing is None:
        run(connection, SchemaManager.get_schema())
    else:
        for step in steps_between(standing, installed):
            run(connection, step.read_text())
    run(connection, _GRANTS)
    run(connection, f"COMMENT ON TABLE {_JOBS} IS '{installed}'")
    return True


def _standing(connection: Connection) -> str | None:
    comment = text("SELECT obj_description(to_regclass(:table), 'pg_class')")
    found: str | None = connection.execute(comment, {"table": _JOBS}).scalar()
    return found


def steps_between(standing: str, installed: str) -> list[Path]:
    """The library's migrations after one of its versions and up to another, in the order of their names.

    A file is named ``<version>_<number>_<pre or post>_…`` (procrastinate's manual, "Migrations").
    """
    files = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    return [each for each in files if _numbers(standing) < _numbers(each.name.split("_")[0]) <= _numbers(installed)]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
