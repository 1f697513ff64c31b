"""IS8: a process that is killed while it makes and deletes tenants leaves whole tenants and nothing else."""

import asyncio
import os
import random
import sys
from pathlib import Path

import anyio
import psycopg
import pytest
from anyio.abc import Process

from migrations.runner import migrate_tenants
from tests.fixtures.catalog import schemas_and_roles
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.saas import MODELS, write_saas
from tests.fixtures.tenants import make_tenant, open_database

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3600)]

_ROOT = Path(__file__).parents[2]
_KILLS = 3 * int(os.environ.get("TENANTRY_TEST_ROUNDS", "1"))

# Makes and deletes tenants, four at a time, for ever; says so once the first is there.
_MAKER = """
import asyncio, sys
import tenants.users.models  # a tenant names the member who receives keys
from itertools import count
from tenants.database.provisioning import drop_tenant
from tenants.directory.models import Tenant
from tests.fixtures.tenants import make_tenant, open_database

async def work(database, name):
    for number in count():
        tenant = await make_tenant(database, f"{name}-{number}")
        print("made", flush=True)
        if number % 3:
            async with database.control() as session:
                await session.delete(await session.get_one(Tenant, tenant.id))
                await session.flush()
                await drop_tenant(session, tenant.id)

async def main():
    async with open_database(sys.argv[1]) as database:
        await asyncio.gather(*(work(database, f"{sys.argv[2]}-{n}") for n in range(4)))

asyncio.run(main())
"""


@pytest.fixture
async def urls(database_urls: DatabaseUrls, tmp_path: Path) -> DatabaseUrls:
    """A database where a tenant has tables, and the plan that tenants are on."""
    assert migrate_tenants(database_urls.owner, (write_saas(tmp_path / "saas"),), models=MODELS).complete
    async with open_database(database_urls.gateway) as database:
        await make_tenant(database, "first")
    return database_urls


async def test_a_maker_that_is_killed_leaves_no_half_made_tenant(urls: DatabaseUrls) -> None:
    """IS8: row, schema, role and ledger stand and fall together, whenever the process dies."""
    choice = random.Random(8)  # noqa: S311 - a run that can be repeated
    foreign = schemas_and_roles(urls.superuser)[1] - await _rows(urls)  # roles of other databases of this server
    for number in range(_KILLS):
        command = [sys.executable, "-c", _MAKER, urls.gateway, f"killed-{number}"]
        async with await anyio.open_process(command, cwd=_ROOT) as maker:
            await _at_work(maker)
            await anyio.sleep(choice.uniform(0, 0.15))
            maker.kill()
        await _until_backends_have_gone(urls)
        rows = await _rows(urls)
        schemas, roles = schemas_and_roles(urls.superuser)
        assert schemas == rows
        assert roles - foreign == rows


async def _at_work(maker: Process) -> None:
    assert maker.stdout is not None
    assert b"made" in await maker.stdout.receive()


async def _until_backends_have_gone(urls: DatabaseUrls) -> None:
    """A backend whose client has died ends when it next looks at its socket, and rolls back."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'tenantry_gateway' AND datname = current_database()"
    async with await psycopg.AsyncConnection.connect(urls.superuser, autocommit=True) as superuser:
        with anyio.fail_after(10):
            while await (await superuser.execute(query)).fetchone() != (0,):  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.01)


async def _rows(urls: DatabaseUrls) -> set[str]:
    """The schemas that there should be, by the tenants' rows; each has its line in the ledger."""
    async with await psycopg.AsyncConnection.connect(urls.superuser) as superuser:
        tenants = await (await superuser.execute("SELECT id FROM tenantry.tenants")).fetchall()
        ledger = await (await superuser.execute("SELECT tenant_id FROM tenantry.tenant_migrations")).fetchall()
    assert sorted(tenants) == sorted(ledger)
    return {f"t_{tenant.hex}" for (tenant,) in tenants}
