"""Numbers for the change events of tenants, given by a function of the owner: no other role may write ``sequence``.

A tenant's role inserts events, without a number, and reads them; the control role calls the function and reads the
counters. So neither an injected statement of a tenant nor a worker can renumber or change what has happened.
"""

from alembic import op

from migrations.raw import run

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_COUNTERS = """
    CREATE TABLE tenantry.event_counters (
        tenant_id uuid CONSTRAINT pk_event_counters PRIMARY KEY
            CONSTRAINT fk_event_counters_tenant_id REFERENCES tenantry.tenants (id) ON DELETE CASCADE,
        last_sequence bigint NOT NULL DEFAULT 0
    )
"""

# The counter's row is the lock of the numbering. After waiting for it, the next statement takes a new snapshot,
# which sees the numbers that the run before has given, and every event that is committed by then.
_NUMBER = """
    CREATE FUNCTION tenantry.number_events(tenant uuid, most integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
    DECLARE
        events CONSTANT text := format('%I.tenantry_events', tenantry.tenant_schema(tenant));
        last bigint;
        numbered integer;
    BEGIN
        IF to_regclass(events) IS NULL THEN
            RETURN 0;  -- the tenant has been dropped, or not migrated yet
        END IF;
        INSERT INTO tenantry.event_counters (tenant_id) VALUES (tenant) ON CONFLICT DO NOTHING;
        SELECT last_sequence INTO STRICT last FROM tenantry.event_counters WHERE tenant_id = tenant FOR UPDATE;
        EXECUTE format(
            'WITH batch AS (SELECT id, created_at FROM %s WHERE sequence IS NULL ORDER BY created_at, id LIMIT $1),'
            ' numbered AS (SELECT id, row_number() OVER (ORDER BY created_at, id) AS place FROM batch)'
            ' UPDATE %s AS event SET sequence = $2 + numbered.place FROM numbered WHERE event.id = numbered.id',
            events, events) USING most, last;
        GET DIAGNOSTICS numbered = ROW_COUNT;
        IF numbered > 0 THEN
            UPDATE tenantry.event_counters SET last_sequence = last + numbered WHERE tenant_id = tenant;
        END IF;
        RETURN numbered;
    END
    $function$
"""

# As revision 0003 made it, with one rule more: the events are inserted without their number.
_GRANT = """
    CREATE OR REPLACE FUNCTION tenantry.grant_tenant_tables(schema_name text, append_only text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
    DECLARE
        relation record;
        rights text;
    BEGIN
        FOR relation IN
            SELECT relname, relkind FROM pg_class
            WHERE relnamespace = to_regnamespace(quote_ident(schema_name))
                AND relkind IN ('r', 'p', 'v', 'S') AND NOT relispartition AND relname <> 'alembic_version'
        LOOP
            rights := CASE
                WHEN relation.relkind = 'S' THEN 'USAGE ON SEQUENCE'
                WHEN relation.relkind = 'v' THEN 'SELECT ON TABLE'
                WHEN relation.relname = 'tenantry_events' THEN
                    'SELECT, INSERT (id, type, object_id, actor_kind, actor_id, before, after) ON TABLE'
                WHEN relation.relname = ANY (append_only) THEN 'SELECT, INSERT ON TABLE'
                ELSE 'SELECT, INSERT, UPDATE, DELETE ON TABLE'
            END;
            EXECUTE format('REVOKE ALL ON %s %I.%I FROM %I',
                CASE relation.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                schema_name, relation.relname, schema_name);
            EXECUTE format('GRANT %s %I.%I TO %I', rights, schema_name, relation.relname, schema_name);
        END LOOP;
    END
    $function$
"""


def upgrade() -> None:
    connection = op.get_bind()
    run(connection, _COUNTERS)
    run(connection, "GRANT SELECT ON tenantry.event_counters TO tenantry_control")
    run(connection, _NUMBER)
    run(connection, "REVOKE EXECUTE ON FUNCTION tenantry.number_events(uuid, integer) FROM PUBLIC")
    run(connection, "GRANT EXECUTE ON FUNCTION tenantry.number_events(uuid, integer) TO tenantry_control")
    run(connection, _GRANT)
