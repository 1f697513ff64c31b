"""Migrating many tenants: each in its own transaction, none missed, continued after a crash."""

import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psycopg
import pytest
from psycopg import sql

from migrations.blueprint import DatabaseIsNewer
from migrations.locks import LockWait
from migrations.runner import FleetReport, Progress, migrate_tenants
from tenants.database.provisioning import provision_tenant
from tenants.database.sessions import Database
from tenants.principal import TenantRef
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.saas import MODELS, write_saas
from tests.fixtures.tenants import add_tenant_row, make_tenant, open_database, write_revision

pytestmark = pytest.mark.anyio

_ROOT = Path(__file__).parents[2]
_WAIT = LockWait(timeout=0.1, total=0.3)


class Deployment:
    """A database with tenants, and the folder of their revisions."""

    def __init__(self, urls: DatabaseUrls, folder: Path, database: Database) -> None:
        self.urls = urls
        self.folder = folder
        self.database = database

    def migrate(self, on_progress: Callable[[Progress], None] = lambda _: None) -> FleetReport:
        return migrate_tenants(
            self.urls.owner, (self.folder,), models=MODELS, wait=_WAIT, canaries=3, on_progress=on_progress
        )

    async def add(self, count: int) -> list[TenantRef]:
        return [await make_tenant(self.database, f"tenant-{number}") for number in range(count)]

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.urls.owner) as owner:
            return owner.execute(query.encode()).fetchall()

    def break_tenant(self, tenant: TenantRef) -> None:
        """Drop the table that the second revision changes."""
        with psycopg.connect(self.urls.owner) as owner:
            owner.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(tenant.schema, "notes")))


@pytest.fixture
async def deployment(database_urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with open_database(database_urls.gateway) as database:
        opened = Deployment(database_urls, write_saas(tmp_path / "saas", upto=1), database)
        assert opened.migrate().complete
        yield opened


async def test_every_tenant_is_migrated_and_reported(deployment: Deployment) -> None:
    tenants = await deployment.add(7)
    write_saas(deployment.folder)
    seen: list[Progress] = []
    report = deployment.migrate(seen.append)
    assert report == FleetReport(revisions=("saas_0003", "tenantry_0003"), migrated=7, failed=(), skipped=0)
    assert [(progress.done, progress.total) for progress in seen] == [(done, 7) for done in range(1, 8)]
    assert {progress.outcome.tenant.slug for progress in seen} == {tenant.slug for tenant in tenants}
    assert deployment.migrate().migrated == 0


async def test_a_failing_tenant_is_reported_and_the_others_are_migrated(deployment: Deployment) -> None:
    """OP6: the failure is in the ledger, for operators; nothing that the gateway reads of the tenant has changed."""
    tenants = await deployment.add(6)
    deployment.break_tenant(tenants[1])
    write_saas(deployment.folder)
    report = deployment.migrate()
    assert [(outcome.tenant.slug, (outcome.error or "")[:6]) for outcome in report.failed] == [("tenant-1", "42P01:")]
    assert (report.migrated, report.skipped, report.complete) == (5, 0, False)
    assert deployment.ask("SELECT max(version) FROM tenantry.tenants") == [(1,)]
    assert deployment.ask(
        "SELECT revisions, state, attempts, error LIKE '%notes%' FROM tenantry.tenant_migrations WHERE state = 'failed'"
    ) == [(["saas_0001", "tenantry_0003"], "failed", 1, True)]


async def test_a_failed_tenant_is_migrated_by_a_later_run(deployment: Deployment) -> None:
    tenants = await deployment.add(2)
    deployment.break_tenant(tenants[0])
    write_saas(deployment.folder)
    assert not deployment.migrate().complete
    assert not deployment.migrate().complete
    assert deployment.ask("SELECT max(attempts) FROM tenantry.tenant_migrations") == [(2,)]
    with psycopg.connect(deployment.urls.owner) as owner:
        owner.execute(sql.SQL("SET LOCAL search_path = {}").format(sql.Identifier(tenants[0].schema)))
        owner.execute("CREATE TABLE notes (id uuid PRIMARY KEY, email text, body text, number int)")
    assert deployment.migrate() == FleetReport(("saas_0003", "tenantry_0003"), migrated=1, failed=(), skipped=0)
    assert deployment.ask("SELECT DISTINCT state, attempts, error FROM tenantry.tenant_migrations") == [
        ("applied", 0, None)
    ]


async def test_a_failed_tenant_keeps_its_tables_unchanged(deployment: Deployment) -> None:
    """One transaction per tenant: the second revision is rolled back when the third fails."""
    await deployment.add(1)
    write_saas(deployment.folder, upto=2)
    write_revision(deployment.folder, 3, 'op.execute("SELECT 1 / 0")')
    assert not deployment.migrate().complete
    columns = deployment.ask("SELECT column_name FROM information_schema.columns WHERE table_name = 'notes'")
    assert ("rating",) not in columns
    assert ("number",) in columns


async def test_a_migration_that_fails_for_every_canary_skips_the_rest(deployment: Deployment) -> None:
    """The migration itself is at fault then, and the other tenants keep their tables."""
    await deployment.add(8)
    write_revision(deployment.folder, 2, 'op.execute("DROP TABLE not_there")')
    report = deployment.migrate()
    assert (len(report.failed), report.migrated, report.skipped) == (3, 0, 5)
    assert not report.complete
    assert deployment.ask("SELECT count(*) FROM tenantry.tenant_migrations WHERE state = 'failed'") == [(3,)]


async def test_without_canaries_every_tenant_is_migrated(deployment: Deployment) -> None:
    await deployment.add(3)
    write_saas(deployment.folder)
    report = migrate_tenants(deployment.urls.owner, (deployment.folder,), models=MODELS, canaries=0)
    assert (report.migrated, report.skipped) == (3, 0)


async def test_tenants_at_different_revisions_are_migrated_together(deployment: Deployment) -> None:
    tenants = await deployment.add(3)
    write_saas(deployment.folder, upto=2)
    deployment.break_tenant(tenants[2])
    deployment.migrate()
    with psycopg.connect(deployment.urls.owner) as owner:
        owner.execute(sql.SQL("SET LOCAL search_path = {}").format(sql.Identifier(tenants[2].schema)))
        owner.execute("CREATE TABLE notes (id uuid PRIMARY KEY, email text, body text, number int)")
    write_saas(deployment.folder)
    assert deployment.migrate().complete
    assert deployment.ask("SELECT DISTINCT revisions FROM tenantry.tenant_migrations") == [
        (["saas_0003", "tenantry_0003"],)
    ]


async def test_a_run_waits_for_the_previous_one(deployment: Deployment) -> None:
    """Of two concurrent runs one does the work, the other finds nothing to do."""
    await deployment.add(5)
    write_revision(deployment.folder, 2, 'op.execute("SELECT pg_sleep(0.1)")')
    answers: list[bytes] = []

    async def run() -> None:
        answers.append((await anyio.run_process(_command(deployment), cwd=_ROOT)).stdout)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        group.start_soon(run)
    assert sorted(answer.count(b"arrived") for answer in answers) == [0, 5]


_RUN = """
import sys
from pathlib import Path
from migrations.runner import migrate_tenants

def report(progress):
    print("arrived", progress.outcome.tenant.slug, flush=True)

report = migrate_tenants(sys.argv[1], (Path(sys.argv[2]),), on_progress=report, jobs=2)
sys.exit(0 if report.complete else 1)
"""


def _command(deployment: Deployment) -> list[str]:
    return [sys.executable, "-c", _RUN, deployment.urls.owner, str(deployment.folder)]


async def test_the_next_run_finishes_a_killed_one(deployment: Deployment) -> None:
    """IS9: wherever the run was killed, each tenant is at the old or the new revision, and the next run finishes.

    The server still works on the last statements of the killed run when the next one begins.
    """
    await deployment.add(12)
    slow = ('op.execute("SELECT pg_sleep(0.3)")', 'op.execute("CREATE TABLE more (id int)")')
    write_revision(deployment.folder, 2, "\n".join(slow))
    async with await anyio.open_process(_command(deployment), cwd=_ROOT) as run:
        assert run.stdout is not None
        arrived = b""
        while arrived.count(b"arrived") < 4:
            arrived += await run.stdout.receive()
        run.kill()
    ((arrived_tenants,),) = deployment.ask(
        "SELECT count(*)::int FROM tenantry.tenant_migrations WHERE revisions = '{saas_0002,tenantry_0003}'"
    )
    tables = deployment.ask("SELECT count(*) FROM pg_class WHERE relname = 'more'")
    assert 4 <= arrived_tenants < 12
    assert tables[0][0] >= arrived_tenants
    report = deployment.migrate()
    assert report.complete
    assert report.migrated <= 12 - arrived_tenants
    assert deployment.ask("SELECT count(*) FROM pg_class WHERE relname = 'more'") == [(12,)]
    assert deployment.ask("SELECT DISTINCT revisions FROM tenantry.tenant_migrations") == [
        (["saas_0002", "tenantry_0003"],)
    ]


async def test_a_tenant_created_while_a_run_starts_is_not_missed(deployment: Deployment) -> None:
    """It is created from the old script in a transaction that is still open when the run lists the tenants."""
    write_saas(deployment.folder)
    done = threading.Event()
    reports: list[FleetReport] = []

    def run() -> None:
        reports.append(deployment.migrate())
        done.set()

    async with anyio.create_task_group() as group, deployment.database.control() as session:
        tenant = await add_tenant_row(session, "late")
        await provision_tenant(session, tenant.id)
        group.start_soon(anyio.to_thread.run_sync, run)
        assert not await anyio.to_thread.run_sync(done.wait, 0.5)
    assert reports[0].migrated == 1
    assert deployment.ask("SELECT revisions FROM tenantry.tenant_migrations") == [(["saas_0003", "tenantry_0003"],)]


async def test_a_tenant_deleted_during_a_run_is_not_a_failure(deployment: Deployment) -> None:
    (tenant,) = await deployment.add(1)
    with psycopg.connect(deployment.urls.owner) as owner:
        owner.execute("DELETE FROM tenantry.tenants WHERE id = %s", (tenant.id,))
        row = owner.execute("SELECT tenantry.migrate_tenant(%s, '{}', '{}', '{}', '{}')", (tenant.id,)).fetchone()
        assert row == (False,)
        owner.rollback()


async def test_code_older_than_the_database_refuses_to_migrate(deployment: Deployment) -> None:
    """Its script would create tenants that the newer code cannot serve."""
    newer = write_saas(deployment.folder)
    assert deployment.migrate().complete
    (newer / "saas_0003.py").unlink()
    with pytest.raises(DatabaseIsNewer, match="saas_0003"):
        deployment.migrate()
    assert deployment.ask("SELECT count(*) FROM tenantry.tenant_blueprints") == [(2,)]


async def test_a_ledger_that_disagrees_with_the_schema_fails_that_tenant(deployment: Deployment) -> None:
    (tenant,) = await deployment.add(1)
    with psycopg.connect(deployment.urls.owner) as owner:
        table = sql.Identifier(tenant.schema, "alembic_version")
        owner.execute(sql.SQL("UPDATE {} SET version_num = 'other' WHERE version_num = 'saas_0001'").format(table))
    write_saas(deployment.folder)
    (failed,) = deployment.migrate().failed
    assert "version table" in (failed.error or "")
