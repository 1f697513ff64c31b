"""Record which columns tenants at each revision have, and notify workers when a tenant arrives at other revisions.

A release serves the tenants whose tables have its columns (docs/decisions/0029). The columns are those of the first
tenant at the revisions: all others there have the same. ``tenants.migration_failed_at`` is read by older releases only;
a later revision drops it.
"""

from alembic import op

from migrations.raw import run

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_COLUMNS = "ALTER TABLE tenantry.tenant_blueprints ADD COLUMN columns text[]"

_COLUMNS_OF = """
    CREATE FUNCTION tenantry.columns_of(schema_name text) RETURNS text[]
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    RETURN (
        SELECT coalesce(array_agg(relname || '.' || attname ORDER BY relname, attname), '{}')
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relnamespace = to_regnamespace(quote_ident(schema_name)) AND relkind IN ('r', 'p', 'v', 'm')
            AND relname <> 'alembic_version' AND attnum > 0 AND NOT attisdropped
    )
"""

# The revisions at which there are tenants already.
_RECORD = """
    UPDATE tenantry.tenant_blueprints AS blueprint
    SET columns = tenantry.columns_of(tenantry.tenant_schema(sample.tenant_id))
    FROM (
        SELECT DISTINCT ON (revisions) revisions, tenant_id FROM tenantry.tenant_migrations ORDER BY revisions, state
    ) AS sample
    WHERE sample.revisions = blueprint.revisions
"""

# As revision 0003 made it, and records the columns.
_PROVISION = """
    CREATE OR REPLACE FUNCTION tenantry.provision_tenant(tenant uuid) RETURNS void
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
        UPDATE tenantry.tenant_blueprints SET columns = tenantry.columns_of(schema_name)
            WHERE revisions = blueprint.revisions AND columns IS NULL;
    END
    $function$
"""

# As revision 0003 made it, and records the columns.
_MIGRATE = """
    CREATE OR REPLACE FUNCTION tenantry.migrate_tenant(
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
        -- For workers of older releases.
        UPDATE tenantry.tenants SET migration_failed_at = NULL WHERE id = tenant AND migration_failed_at IS NOT NULL;
        UPDATE tenantry.tenant_blueprints SET columns = tenantry.columns_of(schema_name)
            WHERE revisions = ending AND columns IS NULL;
        RETURN true;
    END
    $function$
"""

# Only of the revisions: the outcome of an attempt changes nothing that workers cache.
_ANNOUNCE = """
    CREATE TRIGGER announce_update AFTER UPDATE ON tenantry.tenant_migrations FOR EACH ROW
    WHEN (OLD.revisions IS DISTINCT FROM NEW.revisions)
    EXECUTE FUNCTION tenantry.announce_change('tenant', 'tenant_id')
"""


def upgrade() -> None:
    connection = op.get_bind()
    run(connection, _COLUMNS)
    run(connection, _COLUMNS_OF)
    run(connection, "REVOKE EXECUTE ON FUNCTION tenantry.columns_of(text) FROM PUBLIC")
    for statement in (_RECORD, _PROVISION, _MIGRATE, _ANNOUNCE):
        run(connection, statement)
