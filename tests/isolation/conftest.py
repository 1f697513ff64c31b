"""Two tenants that differ in one word only: equal names, addresses and ids in tables of equal names."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from migrations.runner import migrate_tenants
from tenants.principal import TenantRef
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.tenants import make_tenant, open_database, write_revision
from tests.isolation.tenant_pair import ROWS, TenantPair

_TABLES = """
    op.execute("CREATE TABLE notes (id integer PRIMARY KEY, email text NOT NULL UNIQUE, body text NOT NULL)")
    op.execute("CREATE TABLE replies (id bigserial PRIMARY KEY, note_id integer NOT NULL,"
        " CONSTRAINT fk_replies_note_id FOREIGN KEY (note_id) REFERENCES notes DEFERRABLE INITIALLY DEFERRED)")
"""

TenantPairFactory = Callable[..., AbstractAsyncContextManager[TenantPair]]


@pytest.fixture(scope="module")
async def pair_of_tenants(
    module_database_urls: DatabaseUrls, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TenantRef, TenantRef]:
    folder: Path = tmp_path_factory.mktemp("saas")
    write_revision(folder, 1, _TABLES)
    migrate_tenants(module_database_urls.owner, (folder,))
    async with open_database(module_database_urls.gateway) as database:
        acme, globex = await make_tenant(database, "acme"), await make_tenant(database, "globex")
    with psycopg.connect(module_database_urls.owner) as owner:
        for tenant in (acme, globex):
            insert = sql.SQL("INSERT INTO {} SELECT n, n || '@example.com', %s FROM generate_series(1, %s) n")
            owner.execute(insert.format(sql.Identifier(tenant.schema, "notes")), (tenant.slug, ROWS))
    return acme, globex


@pytest.fixture(scope="module")
def open_tenant_pair(
    module_database_urls: DatabaseUrls, pair_of_tenants: tuple[TenantRef, TenantRef]
) -> TenantPairFactory:
    """Opens the module's two tenants over pools of its own; keywords as ``open_database`` takes them."""
    acme, globex = pair_of_tenants

    @asynccontextmanager
    async def opened(**settings: float) -> AsyncIterator[TenantPair]:
        pool_size = int(settings.pop("pool_size", 1))
        async with open_database(module_database_urls.gateway, pool_size=pool_size, **settings) as database:
            yield TenantPair(module_database_urls, database, acme, globex)

    return opened


@pytest.fixture(scope="module")
async def tenant_pair(open_tenant_pair: TenantPairFactory) -> AsyncIterator[TenantPair]:
    """The two tenants over one connection of each kind, which all tests of the module share."""
    async with open_tenant_pair() as opened:
        yield opened
