"""Two tenants, and a pool of one pipelined connection."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from tenants.database.statements import Statements
from tenants.principal import TenantRef
from tenants.settings import DatabaseSettings
from tests.fixtures.databases import DatabaseUrls
from tests.integration.database.notes import make_tenant


@pytest.fixture
def tenants(database_urls: DatabaseUrls) -> tuple[TenantRef, TenantRef]:
    """Two tenants whose notes have the same ids."""
    with psycopg.connect(database_urls.owner, autocommit=True) as owner:
        return make_tenant(owner, "acme"), make_tenant(owner, "globex")


@pytest.fixture
async def statements(database_urls: DatabaseUrls) -> AsyncIterator[Statements]:
    """One connection, so that every statement of a test shares it."""
    opened = Statements(DatabaseSettings(url=database_urls.gateway, statement_connections=1, transaction_timeout=2))
    yield opened
    await opened.close()
