"""The audit log of each tenant, written and chained by functions of the owner (docs/decisions/0034).

No role of the gateway may change a row, number it or set its hash. The tenant's role inserts changes of data, the
control role everything else, by ``record_audit``, in the transaction of the change.
"""

from alembic import op

from migrations.raw import run

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_TABLES = (
    "ALTER TABLE tenantry.event_counters ADD COLUMN last_hash bytea",
    """
    CREATE TABLE tenantry.audit_checkpoints (
        tenant_id uuid CONSTRAINT pk_audit_checkpoints PRIMARY KEY
            CONSTRAINT fk_audit_checkpoints_tenant_id REFERENCES tenantry.tenants (id) ON DELETE CASCADE,
        sequence bigint NOT NULL,
        written_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.audit_checkpoints TO tenantry_control",
)

_RECORD = """
    CREATE FUNCTION tenantry.record_audit(
        tenant uuid, id uuid, category text, type text, object_id uuid, actor_kind text, actor_id uuid,
        request_id text, source text, reason text, before jsonb, after jsonb
    ) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
    DECLARE
        schema_name CONSTANT text := tenantry.tenant_schema(tenant);
    BEGIN
        IF to_regnamespace(quote_ident(schema_name)) IS NULL THEN
            RAISE EXCEPTION 'tenant % has no schema', tenant USING ERRCODE = 'invalid_schema_name';
        END IF;
        EXECUTE format(
            'INSERT INTO %I.tenantry_events (id, category, type, object_id, actor_kind, actor_id, request_id, source,'
            ' reason, before, after) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)', schema_name)
            USING id, category, type, object_id, actor_kind, actor_id, request_id, source, reason, before, after;
    END
    $function$
"""

# In the order of the hash. Python recomputes it: tenants/audit/chain.py.
_HASHED = (
    "id::text",
    "category",
    "type",
    "object_id::text",
    "actor_kind",
    "actor_id::text",
    "request_id",
    "source",
    "reason",
    "before::text",
    "after::text",
    "(extract(epoch FROM created_at) * 1000000)::bigint::text",
)
_CONTENT = " || ".join(f"coalesce(length({each}) || '':'' || {each}, ''-'')" for each in _HASHED)

# As revision 0008 made it; now each event also gets its hash. The counter's row is the lock: after waiting for it, the
# next statement takes a new snapshot, which sees what the run before has chained, and every event committed by then.
# Hashes are computed in a loop: a window function would need an aggregate of our own on every node of Citus.
_NUMBER = f"""
    CREATE OR REPLACE FUNCTION tenantry.number_events(tenant uuid, most integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
    DECLARE
        events CONSTANT text := format('%I.tenantry_events', tenantry.tenant_schema(tenant));
        last bigint;
        chain bytea;
        event record;
        numbered integer;
        ids uuid[] := '{{}}';
        sequences bigint[] := '{{}}';
        hashes bytea[] := '{{}}';
    BEGIN
        IF to_regclass(events) IS NULL THEN
            RETURN 0;  -- the tenant has been dropped, or not migrated yet
        END IF;
        INSERT INTO tenantry.event_counters (tenant_id) VALUES (tenant) ON CONFLICT DO NOTHING;
        SELECT last_sequence, coalesce(last_hash, sha256(convert_to('tenantry audit 1 ' || tenant::text, 'UTF8')))
            INTO STRICT last, chain FROM tenantry.event_counters WHERE tenant_id = tenant FOR UPDATE;
        IF NOT EXISTS (
            SELECT FROM pg_attribute WHERE attrelid = to_regclass(events) AND attname = 'hash' AND NOT attisdropped
        ) THEN
            -- Revision tenantry_0002: numbered now, and chained when the tenant has been migrated.
            EXECUTE format(
                'WITH batch AS (SELECT id, created_at FROM %s WHERE sequence IS NULL ORDER BY created_at, id LIMIT $1),'
                ' numbered AS (SELECT id, row_number() OVER (ORDER BY created_at, id) AS place FROM batch)'
                ' UPDATE %s AS event SET sequence = $2 + numbered.place FROM numbered WHERE event.id = numbered.id',
                events, events) USING most, last;
            GET DIAGNOSTICS numbered = ROW_COUNT;
            UPDATE tenantry.event_counters SET last_sequence = last + numbered WHERE tenant_id = tenant;
            RETURN numbered;
        END IF;
        FOR event IN EXECUTE format(
            'SELECT id, sequence, {_CONTENT} AS content'
            ' FROM %s WHERE hash IS NULL ORDER BY sequence, created_at, id LIMIT $1', events) USING most
        LOOP
            event.sequence := coalesce(event.sequence, last + 1);
            last := greatest(last, event.sequence);
            chain := sha256(
                chain || convert_to(length(event.sequence::text) || ':' || event.sequence || event.content, 'UTF8'));
            ids := ids || event.id;
            sequences := sequences || event.sequence;
            hashes := hashes || chain;
        END LOOP;
        numbered := cardinality(ids);
        IF numbered > 0 THEN
            EXECUTE format(
                'UPDATE %s AS event SET sequence = chained.sequence, hash = chained.hash'
                ' FROM unnest($1, $2, $3) AS chained (id, sequence, hash) WHERE event.id = chained.id', events)
                USING ids, sequences, hashes;
            UPDATE tenantry.event_counters SET last_sequence = last, last_hash = chain WHERE tenant_id = tenant;
        END IF;
        RETURN numbered;
    END
    $function$
"""  # noqa: S608 - columns that are named above

# As revision 0008 made it, with the origin. The category stays ``data``, whatever a tenant's statement inserts.
_GRANT = """
    CREATE OR REPLACE FUNCTION tenantry.grant_tenant_tables(schema_name text, append_only text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
    DECLARE
        relation record;
        columns text;
        rights text;
    BEGIN
        FOR relation IN
            SELECT oid, relname, relkind FROM pg_class
            WHERE relnamespace = to_regnamespace(quote_ident(schema_name))
                AND relkind IN ('r', 'p', 'v', 'S') AND NOT relispartition AND relname <> 'alembic_version'
        LOOP
            -- Those of them that it has: a tenant may still be made from a script that is older than this revision.
            SELECT string_agg(attname, ', ') INTO columns FROM pg_attribute WHERE attrelid = relation.oid
                AND attname = ANY (ARRAY['id', 'type', 'object_id', 'actor_kind', 'actor_id', 'before', 'after',
                    'request_id', 'source', 'reason']);
            rights := CASE
                WHEN relation.relkind = 'S' THEN 'USAGE ON SEQUENCE'
                WHEN relation.relkind = 'v' THEN 'SELECT ON TABLE'
                WHEN relation.relname = 'tenantry_events' THEN 'SELECT, INSERT (' || columns || ') ON TABLE'
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

_SIGNATURE = "tenantry.record_audit(uuid, uuid, text, text, uuid, text, uuid, text, text, text, jsonb, jsonb)"


def upgrade() -> None:
    connection = op.get_bind()
    for statement in (*_TABLES, _RECORD, _NUMBER, _GRANT):
        run(connection, statement)
    run(connection, f"REVOKE EXECUTE ON FUNCTION {_SIGNATURE} FROM PUBLIC")
    run(connection, f"GRANT EXECUTE ON FUNCTION {_SIGNATURE} TO tenantry_control")
