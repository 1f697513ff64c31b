"""The control stream: it matches the models, grants what the control role needs, and goes forward only."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, text

import migrations.job_tables
from migrations.autogenerate import comparison, difference
from migrations.engine import owner_engine
from migrations.job_tables import steps_after
from migrations.metadata import CONTROL_METADATA, CONTROL_MODELS, TENANT_METADATA
from migrations.runner import migrate_control
from migrations.scope import belongs_to_control
from migrations.streams import control_stream, heads, tenant_stream, upgrade
from tenants.database.names import OWN_TABLES
from tests.fixtures.catalog import Catalog, describe_schema
from tests.fixtures.databases import DatabaseUrls

_ROOT = Path(__file__).parents[2]
# Written by the owner's runner and functions alone.
_READ_ONLY = {
    "alembic_version",
    "tenant_blueprints",
    "tenant_migrations",
    "event_counters",
    "operator_events",
    "operator_event_chains",
}


@pytest.fixture
def connection(module_database_urls: DatabaseUrls) -> Iterator[Connection]:
    with owner_engine(module_database_urls.owner).connect() as opened:
        yield opened


def test_the_control_schema_matches_the_models(connection: Connection) -> None:
    options = {
        "include_schemas": True,
        "include_name": belongs_to_control,
        "version_table_schema": "tenantry",
        "compare_type": True,
        "compare_server_default": True,
    }
    context = MigrationContext.configure(connection, opts=options)
    assert compare_metadata(context, CONTROL_METADATA) == []


def test_every_control_model_is_in_the_metadata() -> None:
    """A models.py that is not imported would be missing from the comparison above, and from the database."""
    files = {path for floor in ("tenants", "billing", "migrations") for path in (_ROOT / floor).rglob("models.py")}
    assert {Path(str(module.__file__)) for module in CONTROL_MODELS} == files


def test_the_control_role_has_data_privileges_on_tables_only(module_database_urls: DatabaseUrls) -> None:
    relations = describe_schema(module_database_urls.superuser, "tenantry")["relations"]
    rights = {name: acl for name, kind, _, _, _, acl, _, _ in relations if kind == "r"}
    for table, acl in rights.items():
        wanted = "r" if table in _READ_ONLY else "arwd"
        # The owner's own rights are `arwdDxtm` (PostgreSQL 17 added m); everyone else's are listed after them.
        others = [entry for entry in acl.strip("{}").split(",") if entry and not entry.startswith("tenant_owner=")]
        assert others == [f"tenant_control={wanted}/tenant_owner"], table


def test_only_the_control_role_may_call_the_functions_of_the_control_schema(
    module_database_urls: DatabaseUrls,
) -> None:
    functions = describe_schema(module_database_urls.superuser, "tenantry")["functions"]
    assert functions
    for name, owner, acl, _ in functions:
        assert owner == "tenant_owner", name
        assert acl.startswith("{tenant_owner=X/tenant_owner"), name  # an empty list would be PUBLIC's default
        assert "{=" not in acl, name
        assert ",=" not in acl, name


def test_migrating_twice_changes_nothing(module_database_urls: DatabaseUrls) -> None:
    before = describe_schema(module_database_urls.superuser, "tenantry")
    migrate_control(module_database_urls.owner)
    assert describe_schema(module_database_urls.superuser, "tenantry") == before


def test_a_failed_control_migration_leaves_nothing(
    empty_database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IS9: all or nothing, so the next run starts at the same revision."""
    monkeypatch.setattr(migrations.job_tables, "_GRANTS", "SELECT 1 / 0")
    with pytest.raises(Exception, match="division by zero"):
        migrate_control(empty_database_urls.owner)
    assert describe_schema(empty_database_urls.superuser, "tenantry")["schema"] == []
    monkeypatch.undo()
    migrate_control(empty_database_urls.owner)
    assert describe_schema(empty_database_urls.superuser, "tenantry")["schema"] != []


def test_the_streams_go_forward_only_and_have_one_head_each() -> None:
    """OP4: expand, then contract; no downgrade (migrations/README.md)."""
    for stream in (control_stream(), tenant_stream()):
        assert len(heads(stream)) == 1
        for revision in stream.walk_revisions():
            assert not hasattr(revision.module, "downgrade"), revision.revision


def test_job_tables_apply_the_librarys_steps_in_order() -> None:
    names = [path.name for path in steps_after("03.00.00_50_post_cancel_notification.sql")]
    assert [name[:11] for name in names[:3]] == ["03.01.00_01", "03.01.00_50", "03.02.00_01"]
    assert steps_after(names[-1]) == []


def test_upgraded_job_tables_equal_those_of_a_new_installation(
    empty_database_urls: DatabaseUrls, database_urls: DatabaseUrls
) -> None:
    older = [step for step in steps_after("") if step.name < "03.03"]
    with psycopg.connect(empty_database_urls.owner, autocommit=True) as owner:
        owner.execute("CREATE SCHEMA tenantry")
        owner.execute("SET search_path = tenantry")
        for step in older:
            owner.execute(step.read_bytes())
        owner.execute(f"COMMENT ON TABLE procrastinate_jobs IS '{older[-1].name}'".encode())
    migrate_control(empty_database_urls.owner)
    stepped = describe_schema(empty_database_urls.superuser, "tenantry")
    fresh = describe_schema(database_urls.superuser, "tenantry")
    assert _unordered(stepped) == _unordered(fresh)


def _unordered(catalog: Catalog) -> set[tuple[str, ...]]:
    # The library's own steps leave its columns in another order than a fresh start does: that is theirs to say.
    return {(aspect, row[0], *row[2:]) for aspect, rows in catalog.items() for row in rows}


_INSERT_TRIGGERS = (
    "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger"
    " WHERE tgrelid = 'tenantry.procrastinate_jobs'::regclass AND NOT tgisinternal AND tgtype & 4 > 0"
)


def test_no_trigger_fires_for_a_job_of_the_outbox(database_urls: DatabaseUrls) -> None:
    """No NOTIFY from a data write, also after the library has replaced a trigger in a step of its own."""
    with psycopg.connect(database_urls.owner, autocommit=True) as owner:
        narrowed = owner.execute(_INSERT_TRIGGERS).fetchall()
        for name, _ in narrowed:
            assert name.startswith("procrastinate_")
        replaced = "CREATE OR REPLACE TRIGGER procrastinate_trigger_new AFTER INSERT ON tenantry.procrastinate_jobs"
        owner.execute("SET search_path = tenantry")
        calls = "EXECUTE FUNCTION procrastinate_notify_queue_job_inserted_v1()"
        owner.execute(f"{replaced} FOR EACH ROW WHEN (new.status = 'todo') {calls}".encode())
        migrate_control(database_urls.owner)
        definitions = [definition for _, definition in owner.execute(_INSERT_TRIGGERS)]
        assert len(definitions) == len(narrowed) + 1 > 3
        for definition in definitions:
            assert definition.count("queue_name") == definition.count("outbox") == 1, definition
        owner.execute(f"{replaced} FOR EACH ROW {calls}".encode())
        with pytest.raises(Exception, match="no condition to narrow"):
            migrate_control(database_urls.owner)


def test_the_own_tables_of_a_tenant_are_what_the_models_say(database_urls: DatabaseUrls) -> None:
    """The tables that Tenantry adds to every tenant's schema, compared as the SaaS's own are."""
    models = MetaData(naming_convention=TENANT_METADATA.naming_convention)
    for table in TENANT_METADATA.tables.values():
        if table.name.startswith(OWN_TABLES):
            table.to_metadata(models)
    with owner_engine(database_urls.owner).begin() as connection:
        connection.execute(text("CREATE SCHEMA t_compared"))
        connection.execute(text("SET LOCAL search_path = t_compared"))
        upgrade(tenant_stream(), connection)
        assert models.tables
        assert difference(comparison(connection), models).is_empty()
