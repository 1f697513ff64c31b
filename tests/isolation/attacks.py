"""What an attacker may try from inside one value of one statement. ``{victim}`` is another tenant's schema and role."""

from tests.isolation.tenant_pair import TenantPair

# Each must be refused by the server.
REFUSED = {
    "take another role": "set_config('role', '{victim}', false)",
    "take another role, locally": "pg_catalog.set_config('role', '{victim}', true)",
    "give the role back": "set_config('role', 'none', true)",
    "become the control role": "set_config('role', 'tenantry_control', true)",
    "change the search_path": "set_config('search_path', '{victim}', true)",
    "switch off the time limit": "set_config('statement_timeout', '0', false)",
    "set a role from a query": "query_to_xml('SELECT set_config(''role'', ''{victim}'', true)', true, true, '')",
    "run SET from a query": "query_to_xml('SET ROLE {victim}', true, true, '')",
    "read a table by a query": "query_to_xml('SELECT * FROM {victim}.notes', true, true, '')",
    "read a table as XML": "table_to_xml('{victim}.notes', true, true, '')",
    "read a schema as XML": "schema_to_xml('{victim}', true, true, '')",
    "read the database as XML": "database_to_xml(true, true, '')",
    "describe a query": "query_to_xmlschema('SELECT * FROM {victim}.notes', true, true, '')",
    "run a cursor as XML": "cursor_to_xml('c', 1, true, true, '')",
    "run a query for its words": "(SELECT max(word) FROM ts_stat('SELECT body::tsvector FROM {victim}.notes'))",
    "run a query to rewrite words": "ts_rewrite('a', 'SELECT body::tsquery, body::tsquery FROM {victim}.notes')",
    "read another tenant's table": "(SELECT max(body) FROM {victim}.notes)",
    "read its sequence": "(SELECT last_value FROM {victim}.replies_id_seq)",
    "advance its sequence": "nextval('{victim}.replies_id_seq')",
    "look at its sequence": "currval('{victim}.replies_id_seq')",
    "set its sequence": "setval('{victim}.replies_id_seq', 1)",
    "read its version": "(SELECT max(version_num) FROM {victim}.alembic_version)",
    "read one's own version": "(SELECT max(version_num) FROM alembic_version)",
    "read the keys": "(SELECT max(digest) FROM tenantry.api_keys)",
    "read the users": "(SELECT max(email) FROM tenantry.users)",
    "read the tenants": "(SELECT max(slug) FROM tenantry.tenants)",
    "read the jobs": "(SELECT max(args::text) FROM tenantry.procrastinate_jobs)",
    "read the blueprints": "(SELECT max(made_at) FROM tenantry.tenant_blueprints)",
    "make a tenant": "tenantry.provision_tenant(gen_random_uuid())",
    "drop a tenant": "tenantry.drop_tenant('{victim_id}')",
    "run as the owner": "tenantry.run_in_schema('{victim}', ARRAY['DROP TABLE notes'])",
    "speak to every worker": "pg_notify('tenantry_changes', 'tenant {victim_id}')",
    "hear the queue": "pg_notification_queue_usage() + (SELECT count(*) FROM pg_listening_channels())",
    "end a session": "(SELECT bool_or(pg_terminate_backend(n)) FROM generate_series(1, 100) n)",
    "cancel a statement": "pg_cancel_backend(1)",
    "end one's own session": "pg_terminate_backend(pg_backend_pid())",
    "keep a lock": "pg_advisory_lock(1)",
    "keep a lock for the transaction": "pg_advisory_xact_lock(1)",
    "try the migrations' lock": "pg_try_advisory_lock(8386654066271550073)",
    "fix the random numbers of the next": "setseed(0.5)",
    "see the sessions": "(SELECT max(query) FROM pg_stat_activity)",
    "see a session": "(SELECT max(query) FROM pg_stat_get_activity(NULL))",
    "see a session's statement": "pg_stat_get_backend_activity(1)",
    "see prepared statements": "(SELECT max(statement) FROM pg_prepared_statements)",
    "see prepared statements, by function": "(SELECT max(statement) FROM pg_prepared_statement())",
    "see the cursors": "(SELECT max(statement) FROM pg_cursors)",
    "see the locks": "(SELECT count(*) FROM pg_locks)",
    "count its rows": "(SELECT n_live_tup FROM pg_stat_user_tables WHERE schemaname = '{victim}' LIMIT 1)",
    "count its rows, by function": "pg_stat_get_live_tuples(1)",
    "measure its table": "pg_total_relation_size('{victim}.notes')",
    "guess its rows": "(SELECT reltuples FROM pg_class WHERE relnamespace = '{victim}'::regnamespace LIMIT 1)",
    "guess its values": "(SELECT max(most_common_vals::text) FROM pg_stats WHERE schemaname = '{victim}')",
    "list the tenants": "(SELECT count(*) FROM pg_namespace)",
    "list the roles": "(SELECT count(*) FROM pg_roles)",
    "read the passwords": "(SELECT max(rolpassword) FROM pg_authid)",
    "read the server's settings": "(SELECT max(setting) FROM pg_settings)",
    "read the access rules": "(SELECT max(address) FROM pg_hba_file_rules)",
    "read a function": "(SELECT max(prosrc) FROM pg_proc)",
    "read a file": "pg_read_file('/etc/passwd')",
    "read a binary file": "pg_read_binary_file('postgresql.conf')",
    "list a folder": "(SELECT max(f) FROM pg_ls_dir('.') f)",
    "stat a file": "(SELECT size FROM pg_stat_file('PG_VERSION'))",
    "list the log folder": "(SELECT count(*) FROM pg_ls_logdir())",
    "make a large object": "lo_create(0)",
    "make a large object of bytes": "lo_from_bytea(0, 'x')",
    "import a file": "lo_import('/etc/passwd')",
    "export a file": "lo_export(1, '/tmp/x')",
    "read a large object": "lo_get(1)",
    "write to the log of changes": "pg_logical_emit_message(false, 'a', 'b')",
    "keep a snapshot": "pg_export_snapshot()",
    "make a replication slot": "(SELECT slot_name FROM pg_create_physical_replication_slot('a'))",
    "reload the settings": "pg_reload_conf()",
    "rotate the log": "pg_rotate_logfile()",
    "reset the statistics": "pg_stat_reset()",
    "dump a backend's memory": "pg_log_backend_memory_contexts(1)",
    "reach another database": "dblink('dbname=postgres', 'SELECT 1')",
    "promote the server": "pg_promote()",
}

# Each returns, and what it returns reveals nothing of other tenants.
HARMLESS = {
    "whose tables one sees": "(SELECT string_agg(table_schema || table_name, ',') FROM information_schema.tables)",
    "whose columns one sees": "(SELECT string_agg(table_schema || column_name, ',') FROM information_schema.columns)",
    "whose rights one sees": "(SELECT string_agg(table_schema, ',') FROM information_schema.table_privileges)",
    "whose schemas one sees": "(SELECT string_agg(schema_name, ',') FROM information_schema.schemata)",
    "which roles one may take": "(SELECT string_agg(role_name, ',') FROM information_schema.applicable_roles)",
    "which roles one has": "(SELECT string_agg(role_name, ',') FROM information_schema.enabled_roles)",
    "whose rows one sees": "(SELECT string_agg(body, ',') FROM notes)",
    "what one may do elsewhere": "has_schema_privilege('{victim}', 'USAGE')",
    "what one is a member of": "pg_has_role('{victim}', 'MEMBER')",
}

# One statement each, as if all of it were the attacker's; short of SET ROLE, these are refused as well.
STATEMENTS = {
    "set the session's user": "SET SESSION AUTHORIZATION {victim}",
    "update the settings": "UPDATE pg_settings SET setting = '{victim}' WHERE name = 'role'",
    "update the settings on the way": (
        "WITH x AS (UPDATE pg_settings SET setting = '{victim}' WHERE name = 'role' RETURNING 1) SELECT * FROM x"
    ),
    "write another tenant's table": "UPDATE {victim}.notes SET body = 'acme was here'",
    "delete from it": "WITH x AS (DELETE FROM {victim}.notes RETURNING *) SELECT * FROM x",
    "empty it": "TRUNCATE {victim}.notes",
    "lock it": "LOCK TABLE {victim}.notes IN ACCESS SHARE MODE",
    "refer to it": "CREATE TABLE mine (id integer REFERENCES {victim}.notes)",
    "make a table": "CREATE TABLE mine (id integer)",
    "make a table in public": "CREATE TABLE public.notes (id integer)",
    "make a temporary table that stands before a real one": "CREATE TEMPORARY TABLE notes (id integer)",
    "make a table from a query": "SELECT 1 AS id INTO mine",
    "make a temporary table from a query": "SELECT 1 AS id INTO TEMPORARY mine",
    "make a function that stands before a real one": "CREATE FUNCTION lower(text) RETURNS text LANGUAGE sql RETURN 'x'",
    "make a temporary function": "CREATE FUNCTION pg_temp.f() RETURNS text LANGUAGE sql SET ROLE {victim} RETURN 'x'",
    "make a view": "CREATE VIEW mine AS SELECT * FROM {victim}.notes",
    "make a schema": "CREATE SCHEMA mine",
    "make a role": "CREATE ROLE mine",
    "grant a role": "GRANT {victim} TO {attacker}",
    "grant a table": "GRANT SELECT ON {victim}.notes TO {attacker}",
    "change one's own table": "ALTER TABLE notes ADD COLUMN x integer",
    "drop one's own table": "DROP TABLE notes",
    "add a trigger": (
        "CREATE TRIGGER t BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    ),
    "run a block that sets the role": "DO $$ BEGIN PERFORM set_config('role', '{victim}', true); END $$",
    "copy to a program": "COPY notes TO PROGRAM 'id'",
    "copy from a file": "COPY notes FROM '/etc/passwd'",
    "load a library": "LOAD 'plpgsql'",
    "make an extension": "CREATE EXTENSION dblink",
    "analyse a statement as another": "EXPLAIN ANALYZE SELECT * FROM {victim}.notes",
}

# What a second statement would do if it could be stacked behind the first.
STACKED = (
    "RESET ROLE",
    "SET ROLE {victim}",
    "SET LOCAL search_path = {victim}",
    "COMMIT",
    "ROLLBACK",
    "SELECT 1",
    "DO $$ BEGIN END $$",
)

# insufficient privilege, no such function or table (dblink), a file or setting that only a superuser may touch,
# objects that are not there to be found, a parameter that must not be set.
REFUSALS = frozenset({"42501", "42883", "42P01", "0A000", "42704", "55000", "42602", "34000"})


def aim(attack: str, pair: TenantPair) -> str:
    """The attack of acme on globex."""
    victim = pair.globex
    return (
        attack.replace("{victim_id}", str(victim.id))
        .replace("{victim}", victim.schema)
        .replace("{attacker}", pair.acme.schema)
    )
