"""A tenant is provisioned completely or not at all, and equals a migrated one."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from migrations.engine import owner_engine
from migrations.runner import migrate_tenants
from migrations.streams import tenant_stream, upgrade
from tenants.database.provisioning import drop_tenant, provision_tenant
from tenants.database.sessions import ControlSession, Database
from tenants.directory.models import Tenant
from tenants.identifiers import TenantId
from tenants.principal import TenantRef
from tests.fixtures.catalog import describe_schema, schemas_and_roles
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.saas import MODELS, write_saas
from tests.fixtures.tenants import add_tenant_row, make_tenant, open_database

pytestmark = pytest.mark.anyio


@pytest.fixture
def saas(database_urls: DatabaseUrls, tmp_path: Path) -> Path:
    """A folder with the first revision of a SaaS; new tenants are created from it."""
    folder = write_saas(tmp_path / "saas", upto=1)
    assert migrate_tenants(database_urls.owner, (folder,), models=MODELS).complete
    return folder


async def test_a_provisioned_tenant_equals_a_migrated_one(database_urls: DatabaseUrls, saas: Path) -> None:
    """docs/decisions/0001: column order, types, defaults, constraints, indexes, grants and owners."""
    async with open_database(database_urls.gateway) as database:
        migrated = [await make_tenant(database, "first")]
        for upto in (2, 3):
            write_saas(saas, upto)
            assert migrate_tenants(database_urls.owner, (saas,), models=MODELS).migrated == len(migrated)
            migrated.append(await make_tenant(database, f"made-at-{upto}"))
    *older, provisioned = [describe_schema(database_urls.superuser, tenant.schema) for tenant in migrated]
    assert provisioned["relations"]
    assert older == [provisioned, provisioned]


async def test_a_provisioned_tenant_has_the_tables_that_alembic_creates(
    database_urls: DatabaseUrls, saas: Path
) -> None:
    """The rendered script has the same effect as running the revisions with Alembic."""
    write_saas(saas)
    migrate_tenants(database_urls.owner, (saas,), models=MODELS)
    async with open_database(database_urls.gateway) as database:
        tenant = await make_tenant(database, "acme")
    by_hand = "t_" + "0" * 32
    with owner_engine(database_urls.owner).begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {by_hand}"))
        connection.execute(text(f"SET LOCAL search_path = {by_hand}"))
        upgrade(tenant_stream((saas,)), connection)
    ours = describe_schema(database_urls.superuser, tenant.schema)
    theirs = describe_schema(database_urls.superuser, by_hand)
    for each in (ours, theirs):
        each["columns"] = [(*column[:8], *column[9:]) for column in each["columns"]]  # without rights: not Alembic's
    for aspect in ("columns", "constraints", "indexes", "functions", "types"):
        assert ours[aspect] == theirs[aspect], aspect


async def test_a_tenant_role_has_data_privileges_only(database_urls: DatabaseUrls, saas: Path) -> None:
    """IS1: no version table, no DDL; append-only tables have SELECT and INSERT only (AU1)."""
    write_saas(saas)
    migrate_tenants(database_urls.owner, (saas,), models=MODELS)
    async with open_database(database_urls.gateway) as database:
        catalog = describe_schema(database_urls.superuser, (await make_tenant(database, "acme")).schema)
    assert catalog["schema"] == [
        ("tenantry_owner", "{tenantry_owner=UC/tenantry_owner,tenant=U/tenantry_owner}")  # USAGE, no CREATE
    ]
    assert catalog["role"] == [("False", "True", *["False"] * 5, "['tenantry_gateway', 'tenantry_owner']")]
    relations = catalog["relations"]
    granted = {name: _rights(acl) for name, kind, _, _, _, acl, _, _ in relations if kind in "rSv"}
    assert granted == {
        "alembic_version": "",
        "notes": "arwd",
        "replies": "arwd",
        "entries": "ar",
        "entries_id_seq": "U",
        "loud": "r",
        "tenantry_events": "r",  # and INSERT, column by column
    }
    assert {relation[4] for relation in relations} == {"tenantry_owner"}


def _rights(acl: str) -> str:
    """The privileges of the tenant's role, in the letters of the access control list."""
    return acl.rpartition(",tenant=")[2].partition("/")[0] if ",tenant=" in acl else ""


@pytest.mark.usefixtures("saas")
async def test_dropping_a_tenant_leaves_nothing(database_urls: DatabaseUrls) -> None:
    """IS8: neither schema nor role nor ledger."""
    before = schemas_and_roles(database_urls.superuser)
    async with open_database(database_urls.gateway) as database:
        tenant = await make_tenant(database, "acme")
        await _delete(database, tenant)
    assert schemas_and_roles(database_urls.superuser) == before
    with psycopg.connect(database_urls.owner) as owner:
        assert owner.execute("SELECT * FROM tenantry.tenant_migrations").fetchall() == []


async def _delete(database: Database, tenant: TenantRef) -> None:
    async with database.control() as session:
        await session.delete(await session.get_one(Tenant, tenant.id))
        await session.flush()
        await drop_tenant(session, tenant.id)


@pytest.mark.usefixtures("saas")
async def test_a_failed_creation_leaves_nothing(database_urls: DatabaseUrls) -> None:
    """IS8: schema and role roll back with the row."""
    before = schemas_and_roles(database_urls.superuser)
    async with open_database(database_urls.gateway) as database:
        with pytest.raises(ZeroDivisionError):
            await _make_and_fail(database)
        assert schemas_and_roles(database_urls.superuser) == before
        await make_tenant(database, "acme")


async def _make_and_fail(database: Database) -> None:
    async with database.control() as session:
        tenant = await add_tenant_row(session, "acme")
        await provision_tenant(session, tenant.id)
        raise ZeroDivisionError


@pytest.mark.usefixtures("saas")
async def test_a_schema_is_created_only_for_a_tenant_with_a_row_and_once(database_urls: DatabaseUrls) -> None:
    async with open_database(database_urls.gateway) as database:
        tenant = await make_tenant(database, "acme")
        with pytest.raises(DBAPIError, match="already exists"):
            await _alone(database, provision_tenant, tenant)
        with pytest.raises(DBAPIError, match="still has its row"):
            await _alone(database, drop_tenant, tenant)
        await _delete(database, tenant)
        with pytest.raises(DBAPIError, match="has no row"):
            await _alone(database, provision_tenant, tenant)


async def _alone(
    database: Database, step: Callable[[ControlSession, TenantId], Awaitable[None]], tenant: TenantRef
) -> None:
    async with database.control() as session:
        await step(session, tenant.id)


async def test_no_tenant_is_created_before_the_first_migration(database_urls: DatabaseUrls) -> None:
    async with open_database(database_urls.gateway) as database:
        with pytest.raises(DBAPIError, match="migrate first"):
            await make_tenant(database, "acme")


@pytest.mark.usefixtures("saas")
async def test_tenants_are_created_concurrently(database_urls: DatabaseUrls) -> None:
    """Roles belong to the whole server: concurrent creation must not fail in its catalog."""
    async with open_database(database_urls.gateway, pool_size=8) as database, anyio.create_task_group() as group:
        await make_tenant(database, "first")  # and the plan
        for number in range(24):
            group.start_soon(make_tenant, database, f"tenant-{number}")
    with psycopg.connect(database_urls.owner) as owner:
        assert owner.execute("SELECT count(*) FROM tenantry.tenant_migrations").fetchone() == (25,)
