"""Revokes rights of PUBLIC on the database's catalog, so that SQL injected into a tenant's statement learns little.

PostgreSQL lets every role read which schemas, roles and sessions there are, how many rows a table holds, how often it
is read, and which statements the session has prepared; and lets it take locks and seeds that outlive a transaction, and
so its tenant. A tenant's role needs none of that. Tenantry's own roles and pg_monitor keep these rights by grants.

What remains: names can be read one by one from their numbers (``16385::regnamespace``), so a tenant's id is no secret.
"""

import psycopg
from psycopg import sql

from tenants.database.names import CONTROL_ROLE, GATEWAY_ROLE, OWNER_ROLE

_TRUSTED = (OWNER_ROLE, CONTROL_ROLE, GATEWAY_ROLE, "pg_monitor")

# Regular expressions of names in pg_catalog.
_FUNCTIONS = (
    "pg_(try_)?advisory_.*",  # a session's lock stays on the pooled connection, for the next tenant to wait for
    "setseed",  # and so does a seed
    "lo_.*|loread|lowrite",  # large objects belong to the database, not to a schema
    "pg_logical_emit_message|pg_export_snapshot",
    "(query|cursor|table|schema|database)_to_xml.*|ts_stat|ts_rewrite",  # run whole statements from inside a value
    "pg_cancel_backend|pg_terminate_backend",
    "pg_prepared_statement|pg_cursor|pg_prepared_xact|pg_lock_status|pg_listening_channels|pg_.*blocking_pids",
    "pg_stat_get_.*|pg_stat_have_stats|pg_sequence_last_value",
    "pg_(relation|total_relation|table|indexes|database|tablespace)_size",
    "pg_relation_filenode|pg_relation_filepath|pg_filenode_relation",
)
_PATTERN = "^(" + "|".join(_FUNCTIONS) + ")$"

_CLOSE = """
    DO $block$
    DECLARE
        thing record;
    BEGIN
        FOR thing IN
            SELECT oid::regclass AS name FROM pg_class
            WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')
                AND has_table_privilege('public', oid, 'SELECT')
        LOOP
            EXECUTE format('GRANT SELECT ON TABLE %s TO {trusted}', thing.name);
            EXECUTE format('REVOKE SELECT ON TABLE %s FROM PUBLIC', thing.name);
        END LOOP;
        FOR thing IN
            SELECT oid::regprocedure AS name FROM pg_proc
            WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND proname ~ {pattern}
                AND has_function_privilege('public', oid, 'EXECUTE')
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO {trusted}', thing.name);
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', thing.name);
        END LOOP;
    END
    $block$
"""


def close_catalog(superuser: psycopg.Connection) -> None:
    """Revoke them from PUBLIC in this connection's database, and grant them to Tenantry's roles. Safe to run again.

    The server's other databases are not touched. Raises psycopg.Error when the server forbids it.
    """
    trusted = sql.SQL(", ").join(sql.Identifier(role) for role in _TRUSTED)
    superuser.execute(sql.SQL(_CLOSE).format(trusted=trusted, pattern=sql.Literal(_PATTERN)))
