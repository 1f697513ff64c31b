"""Two tenants, and a database with one pipelined connection."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from tenants.database.sessions import Database
from tenants.principal import TenantRef
from tenants.settings import DatabaseSettings
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.tenants import new_database
from tests.integration.database.notes import make_tenant


@pytest.fixture
def tenants(database_urls: DatabaseUrls) -> tuple[TenantRef, TenantRef]:
    """Two tenants whose notes have the same ids."""
    with psycopg.connect(database_urls.owner, autocommit=True) as owner:
        return make_tenant(owner, "acme"), make_tenant(owner, "globex")


@pytest.fixture
async def database(database_urls: DatabaseUrls) -> AsyncIterator[Database]:
    """One pipelined connection, so that all statements of a test share it."""
    opened = new_database(DatabaseSettings(url=database_urls.gateway, statement_connections=1, transaction_timeout=2))
    yield opened
    await opened.close()
