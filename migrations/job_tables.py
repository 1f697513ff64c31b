"""The tables of procrastinate in schema ``tenantry``. The library ships its own SQL, for a new installation and for
each step between versions; we store the name of the last applied step as a comment on the table of jobs.
"""

from pathlib import Path

from procrastinate.schema import SchemaManager
from sqlalchemy import Connection, text

from migrations.raw import run
from tenants.database.names import CONTROL_SCHEMA
from tenants.jobs.repository import OUTBOX

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

# Adds the queue to the condition of every trigger that an inserted job fires. Read from the catalog and not written
# out, so that it also holds for the triggers that a later version of the library brings; one without a condition is an
# error of the migration.
_OUTBOX_TRIGGERS = f"""
    DO $block$
    DECLARE
        fired record;
        narrowed text;
    BEGIN
        FOR fired IN
            SELECT tgname, pg_get_triggerdef(oid) AS definition FROM pg_trigger
            WHERE tgrelid = '{_JOBS}'::regclass AND NOT tgisinternal AND tgtype & 4 > 0  -- TRIGGER_TYPE_INSERT
                AND pg_get_triggerdef(oid) NOT LIKE '%queue_name%'
        LOOP
            narrowed := replace(replace(fired.definition, 'CREATE TRIGGER', 'CREATE OR REPLACE TRIGGER'),
                'WHEN (', 'WHEN (new.queue_name <> ''{OUTBOX}'' AND ');
            IF position('{OUTBOX}' IN narrowed) = 0 THEN
                RAISE EXCEPTION 'trigger % has no condition to narrow', fired.tgname;
            END IF;
            EXECUTE narrowed;
        END LOOP;
    END
    $block$
"""  # noqa: S608 - of constants
# Where a run finds the jobs of its own tenant (``tenants/jobs/repository.py``).
_OUTBOX_INDEX = f"""
    CREATE INDEX IF NOT EXISTS ix_procrastinate_jobs_outbox ON {_JOBS} ((args ->> 'tenant'))
        WHERE queue_name = '{OUTBOX}' AND status = 'todo'
"""


def set_up_outbox(connection: Connection) -> None:
    """Let jobs of the outbox queue send no NOTIFY and keep no history, and index them by tenant. Safe to run again.

    Runs after the library's own steps at every migration: whatever trigger a step replaces is narrowed again. The
    library's functions and columns stay as they are, so that its next step finds what it expects.
    """
    run(connection, _OUTBOX_TRIGGERS)
    run(connection, _OUTBOX_INDEX)


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
