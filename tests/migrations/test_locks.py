"""Locks that a migration meets: it waits for a moment, lets others pass, tries again, and names who holds them."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import anyio
import anyio.to_thread
import psycopg
import pytest
from psycopg import sql

from migrations.locks import LockWait, StillLocked
from migrations.runner import FleetReport, migrate_control, migrate_tenants
from tenants.database.provisioning import provision_tenant
from tenants.database.sessions import Database
from tenants.principal import TenantRef
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.saas import MODELS, write_saas
from tests.fixtures.tenants import add_tenant_row, make_tenant, open_database

pytestmark = pytest.mark.anyio

_TIMEOUT = 0.1
_SHORT = LockWait(_TIMEOUT, total=0.5)  # gives up
_LONG = LockWait(_TIMEOUT, total=60)  # outlasts what a test holds
_SHARED, _EXCLUSIVE = "ACCESS SHARE", "ACCESS EXCLUSIVE"


class Fleet:
    """A database with tenants whose second revision changes the table ``notes``."""

    def __init__(self, urls: DatabaseUrls, folder: Path, database: Database) -> None:
        self.urls = urls
        self.folder = folder
        self.database = database

    def migrate(self, wait: LockWait = _SHORT) -> FleetReport:
        return migrate_tenants(self.urls.owner, (self.folder,), models=MODELS, wait=wait)

    @contextmanager
    def held(self, schema: str, table: str = "notes", mode: str = _SHARED) -> Iterator[psycopg.Connection]:
        """A session that holds a lock on the table until the end of the block, or of its transaction."""
        with psycopg.connect(self.urls.gateway, application_name="a long report") as holder:
            name = sql.Identifier(schema, table)
            holder.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(schema)))
            holder.execute(sql.SQL("LOCK TABLE {} IN {} MODE").format(name, sql.SQL(mode)))
            yield holder

    def query(self, schema: str) -> float:
        """Seconds that a query of the table takes."""
        with psycopg.connect(self.urls.owner) as reader:
            started = time.monotonic()
            reader.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, "notes")))
            return time.monotonic() - started


@pytest.fixture
async def fleet(database_urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with open_database(database_urls.gateway) as database:
        opened = Fleet(database_urls, write_saas(tmp_path / "saas", upto=1), database)
        assert opened.migrate().complete
        yield opened


async def _add(fleet: Fleet, count: int) -> list[TenantRef]:
    tenants = [await make_tenant(fleet.database, f"tenant-{number}") for number in range(count)]
    write_saas(fleet.folder)
    return tenants


async def test_a_locked_table_delays_its_tenant_only_and_the_report_names_the_holder(fleet: Fleet) -> None:
    """OP6: who waits for whom, without the text of a query."""
    tenants = await _add(fleet, 4)
    with fleet.held(tenants[0].schema) as holder:
        holder.execute("SELECT 'a secret of the tenant'")
        pid = holder.info.backend_pid
        report = await anyio.to_thread.run_sync(fleet.migrate)
    (failed,), (found,) = report.failed, report.failed[0].holders
    assert (failed.tenant.slug, (failed.error or "")[:6], report.migrated) == ("tenant-0", "55P03:", 3)
    assert (found.pid, found.user) == (pid, "tenantry_gateway")
    assert (found.application, found.state) == ("a long report", "idle in transaction")
    assert (found.relation, found.wanted, found.held) == ("notes", "AccessExclusiveLock", "AccessShareLock")
    assert found.seconds is not None
    assert found.seconds >= 0.3
    assert str(found) in (failed.error or "")
    with psycopg.connect(fleet.urls.owner) as owner:
        rows = owner.execute("SELECT error FROM tenantry.tenant_migrations WHERE state = 'failed'").fetchall()
    assert rows == [(failed.error,)]
    assert "secret" not in f"{rows}{found.as_json()}"
    assert fleet.migrate().complete


async def test_a_migration_succeeds_when_the_lock_is_released(fleet: Fleet) -> None:
    """OP6: no run again by hand, for a lock that lasts longer than one attempt and shorter than all of them."""
    (tenant,) = await _add(fleet, 1)
    reports: list[FleetReport] = []
    async with anyio.create_task_group() as group:
        with fleet.held(tenant.schema):
            group.start_soon(anyio.to_thread.run_sync, lambda: reports.append(fleet.migrate(_LONG)))
            await anyio.sleep(10 * _TIMEOUT)
            assert not reports
    assert (reports[0].complete, reports[0].migrated) == (True, 1)


async def test_queries_are_held_up_for_a_moment_only(fleet: Fleet) -> None:
    """OP6: a waiting ALTER TABLE blocks every later query of its table, so it waits for ``timeout`` at most."""
    (tenant,) = await _add(fleet, 1)
    with fleet.held(tenant.schema):
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, fleet.migrate, LockWait(_TIMEOUT, total=2.0))
            seconds = [await anyio.to_thread.run_sync(fleet.query, tenant.schema) for _ in range(50)]
    assert max(seconds) < 10 * _TIMEOUT


async def test_a_locked_tenant_does_not_hold_up_the_others(fleet: Fleet) -> None:
    """With one thread: the pauses of a locked tenant hold no thread."""
    tenants = await _add(fleet, 3)
    seen: list[str] = []
    with fleet.held(tenants[0].schema):
        report = await anyio.to_thread.run_sync(
            lambda: migrate_tenants(
                fleet.urls.owner,
                (fleet.folder,),
                models=MODELS,
                jobs=1,
                wait=_SHORT,
                on_progress=lambda progress: seen.append(progress.outcome.tenant.slug),
            )
        )
    assert seen == ["tenant-1", "tenant-2", "tenant-0"]
    assert [outcome.tenant.slug for outcome in report.failed] == ["tenant-0"]


async def test_a_run_waits_for_a_tenant_that_is_being_created(fleet: Fleet) -> None:
    """The script for new tenants is locked meanwhile; other creations wait for one attempt at most."""
    write_saas(fleet.folder)
    async with fleet.database.control() as session:
        tenant = await add_tenant_row(session, "late")
        await provision_tenant(session, tenant.id)
        with pytest.raises(StillLocked) as raised:
            await anyio.to_thread.run_sync(fleet.migrate)
    assert {holder.relation for holder in raised.value.holders} == {"tenant_blueprints"}
    assert fleet.migrate().migrated == 1


async def test_a_locked_control_schema_changes_nothing_and_names_the_holder(fleet: Fleet) -> None:
    with psycopg.connect(fleet.urls.owner, application_name="a backup") as holder:
        holder.execute("SELECT count(*) FROM tenantry.procrastinate_jobs")
        holder.execute("LOCK TABLE tenantry.procrastinate_jobs IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StillLocked) as raised:
            await anyio.to_thread.run_sync(migrate_control, fleet.urls.owner, _SHORT)
    assert {(each.application, each.relation) for each in raised.value.holders} == {("a backup", "procrastinate_jobs")}
    migrate_control(fleet.urls.owner, _SHORT)


@pytest.mark.parametrize("total", [0.05, 1.0, 30.0])
def test_pauses_grow_with_jitter_up_to_their_sum(total: float) -> None:
    pauses = list(LockWait(total=total).pauses())
    assert sum(pauses) == pytest.approx(total)
    assert max(pauses) <= 2.0
    if total == 30.0:
        assert 15 <= len(pauses) <= 40
        assert all(later > earlier * 0.99 for earlier, later in pairwise(pauses[:4]))  # at least doubled, then halved
        assert list(LockWait(total=total).pauses()) != pauses
