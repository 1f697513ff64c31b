"""Functions of the owner role that create, migrate and drop a tenant's schema (docs/decisions/0001).

The gateway may call two of them, in the transaction that inserts or deletes the tenant's row, so that a kill -9 leaves
both or neither (IS8). Each statement of a script runs in an EXECUTE of its own.
"""

from alembic import op

from migrations.raw import run

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_TABLES = (
    """
    CREATE TABLE tenantry.tenant_blueprints (
        revisions text[] CONSTRAINT pk_tenant_blueprints PRIMARY KEY,
        statements text[] NOT NULL,
        append_only text[] NOT NULL,
        made_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    """
    CREATE TABLE tenantry.tenant_migrations (
        tenant_id uuid CONSTRAINT pk_tenant_migrations PRIMARY KEY
            CONSTRAINT fk_tenant_migrations_tenant_id REFERENCES tenantry.tenants (id) ON DELETE CASCADE,
        revisions text[] NOT NULL DEFAULT '{}',
        state text NOT NULL CONSTRAINT ck_tenant_migrations_state CHECK (state IN ('applied', 'failed')),
        attempts integer NOT NULL DEFAULT 0,
        error text,
        changed_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "GRANT SELECT ON tenantry.tenant_blueprints, tenantry.tenant_migrations TO tenantry_control",
)

_SCHEMA_NAME = """
    CREATE FUNCTION tenantry.tenant_schema(tenant uuid) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
    RETURN 't_' || replace(tenant::text, '-', '')
"""

# Only the tenant's schema is on the search_path; pg_temp comes last, so that no temporary table can hide a real one.
_RUN = """
    CREATE FUNCTION tenantry.run_in_schema(schema_name text, statements text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
    DECLARE
        statement text;
    BEGIN
        PERFORM set_config('search_path', quote_ident(schema_name) || ', pg_temp', true);
        FOREACH statement IN ARRAY statements LOOP
            EXECUTE statement;
        END LOOP;
    END
    $function$
"""

# Table by table: ON ALL TABLES IN SCHEMA reads the whole catalog. The version table belongs to the owner only.
_GRANT = """
    CREATE FUNCTION tenantry.grant_tenant_tables(schema_name text, append_only text[]) RETURNS void
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

_PROVISION = """
    CREATE FUNCTION tenantry.provision_tenant(tenant uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
    DECLARE
        schema_name CONSTANT text := tenantry.tenant_schema(tenant);
        blueprint tenantry.tenant_blueprints%ROWTYPE;
    BEGIN
        IF NOT EXISTS (SELECT FROM tenantry.tenants WHERE id = tenant) THEN
            RAISE EXCEPTION 'tenant % has no row', tenant USING ERRCODE = 'foreign_key_violation';
        END IF;
        -- The fleet runner replaces the blueprint under an EXCLUSIVE lock, then lists the tenants: whoever is made from
        -- the old one is committed by then, and listed.
        LOCK TABLE tenantry.tenant_blueprints IN ROW SHARE MODE;
        SELECT * INTO blueprint FROM tenantry.tenant_blueprints ORDER BY made_at DESC LIMIT 1;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no blueprint of a tenant has been made yet: migrate first'
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        EXECUTE format('CREATE ROLE %I NOLOGIN', schema_name);
        EXECUTE format('CREATE SCHEMA %I', schema_name);
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', schema_name, schema_name);
        PERFORM tenantry.run_in_schema(schema_name, blueprint.statements);
        PERFORM tenantry.grant_tenant_tables(schema_name, blueprint.append_only);
        EXECUTE format('GRANT %I TO tenantry_gateway', schema_name);
        INSERT INTO tenantry.tenant_migrations (tenant_id, revisions, state)
            VALUES (tenant, blueprint.revisions, 'applied');
    END
    $function$
"""

_DROP = """
    CREATE FUNCTION tenantry.drop_tenant(tenant uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
    DECLARE
        schema_name CONSTANT text := tenantry.tenant_schema(tenant);
    BEGIN
        IF EXISTS (SELECT FROM tenantry.tenants WHERE id = tenant) THEN
            RAISE EXCEPTION 'tenant % still has its row: delete it first', tenant
                USING ERRCODE = 'object_in_use';
        END IF;
        EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', schema_name);
        EXECUTE format('DROP ROLE IF EXISTS %I', schema_name);
    END
    $function$
"""

# False when the tenant was deleted meanwhile. Locks the tenant's row before the ledger's, in the order of a deletion,
# which prevents a deadlock.
_MIGRATE = """
    CREATE FUNCTION tenantry.migrate_tenant(
        tenant uuid, starting text[], ending text[], statements text[], append_only text[]
    ) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
    DECLARE
        schema_name CONSTANT text := tenantry.tenant_schema(tenant);
        standing text[];
    BEGIN
        PERFORM FROM tenantry.tenants WHERE id = tenant FOR NO KEY UPDATE;
        SELECT revisions INTO standing FROM tenantry.tenant_migrations WHERE tenant_id = tenant FOR UPDATE;
        IF NOT FOUND THEN
            RETURN false;
        ELSIF standing <> starting THEN
            RAISE EXCEPTION 'it stands at % and not at %', standing, starting USING ERRCODE = 'serialization_failure';
        END IF;
        PERFORM tenantry.run_in_schema(schema_name, statements);
        EXECUTE format('SELECT array_agg(version_num::text ORDER BY version_num) FROM %I.alembic_version', schema_name)
            INTO standing;
        IF standing IS DISTINCT FROM ending THEN
            RAISE EXCEPTION 'its version table says % and not %', standing, ending USING ERRCODE = 'data_corrupted';
        END IF;
        PERFORM tenantry.grant_tenant_tables(schema_name, append_only);
        UPDATE tenantry.tenant_migrations SET revisions = ending, state = 'applied', attempts = 0, error = NULL,
            changed_at = now() WHERE tenant_id = tenant;
        UPDATE tenantry.tenants SET migration_failed_at = NULL WHERE id = tenant AND migration_failed_at IS NOT NULL;
        RETURN true;
    END
    $function$
"""

_OWNER_ONLY = (
    "tenantry.tenant_schema(uuid)",
    "tenantry.run_in_schema(text, text[])",
    "tenantry.grant_tenant_tables(text, text[])",
    "tenantry.migrate_tenant(uuid, text[], text[], text[], text[])",
)
_GATEWAY_TOO = ("tenantry.provision_tenant(uuid)", "tenantry.drop_tenant(uuid)")


def upgrade() -> None:
    connection = op.get_bind()
    for statement in (*_TABLES, _SCHEMA_NAME, _RUN, _GRANT, _PROVISION, _DROP, _MIGRATE):
        run(connection, statement)
    for function in (*_OWNER_ONLY, *_GATEWAY_TOO):
        run(connection, f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
    for function in _GATEWAY_TOO:
        run(connection, f"GRANT EXECUTE ON FUNCTION {function} TO tenantry_control")
