"""A tenant is served at every revision that the running release supports, whatever its last migration did (OP6)."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import psycopg
import pytest
from psycopg import sql

from examples.crm.resources import MIGRATIONS
from migrations.locks import LockWait
from migrations.runner import FleetReport, migrate_tenants
from tests.fixtures.gateways import Gateway, GatewayFactory, SeededTenant
from tests.fixtures.tenants import write_revision

pytestmark = pytest.mark.anyio

_WAIT = LockWait(0.1, total=0.3)
_ADD_COLUMN = 'op.execute("ALTER TABLE contacts ADD COLUMN nickname varchar(80)")'
# A project whose contacts have one more column than the example's.
_MODULE = """
from pathlib import Path
from sqlalchemy import Index, MetaData, String
from sqlalchemy.orm import Mapped, mapped_column
from tenantry import Resource, TenantModel

class Contact(TenantModel):
    __tablename__ = "contacts"
    __table_args__ = (Index(None, "created_at", "id"),)
    metadata = MetaData(naming_convention=TenantModel.metadata.naming_convention)
    name: Mapped[str] = mapped_column(String(200))
    {column}

contacts = Resource(model=Contact, name="contacts", singular="contact", writable=("name",), sortable=("created_at",))
RESOURCES = (contacts,)
MIGRATIONS = Path({migrations!r})
{more}
"""
_COLUMN = "nickname: Mapped[str | None] = mapped_column(String(80))"


@dataclass(frozen=True, slots=True)
class Rollout:
    """A fleet at the example's revision, releases that serve it, and revisions to migrate it to."""

    folder: Path
    gateways: GatewayFactory

    def release(self, name: str, *, column: str = "", more: str = "") -> str:
        """Write a release's module; returns its name."""
        module = f"{name}_{self.folder.name}"
        text = _MODULE.format(column=column, more=more, migrations=str(self.revisions))
        (self.folder / f"{module}.py").write_text(text)
        return module

    @property
    def revisions(self) -> Path:
        return self.folder / "revisions"

    async def migrate(self, gateway: Gateway) -> FleetReport:
        return await anyio.to_thread.run_sync(
            lambda: migrate_tenants(gateway.urls.owner, (self.revisions,), wait=_WAIT)
        )


@pytest.fixture
def rollout(gateways: GatewayFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rollout:
    shutil.copytree(MIGRATIONS, tmp_path / "revisions")
    monkeypatch.syspath_prepend(tmp_path)
    return Rollout(tmp_path, gateways)


@pytest.fixture
async def older(rollout: Rollout) -> AsyncIterator[Gateway]:
    """The release that serves before the migration: it knows nothing of the revisions to come."""
    async with rollout.gateways() as gateway:
        yield gateway


@contextmanager
def _locked(gateway: Gateway, tenant: SeededTenant) -> Iterator[None]:
    with psycopg.connect(gateway.urls.owner) as holder:
        table = sql.Identifier(tenant.ref.schema, "contacts")
        holder.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(table))
        yield


async def _ask(gateway: Gateway, tenant: SeededTenant) -> httpx.Response:
    return await gateway.client.get("/v1/contacts", headers=tenant.key())


async def _statuses(gateway: Gateway) -> tuple[int, int]:
    return (await _ask(gateway, gateway.acme)).status_code, (await _ask(gateway, gateway.globex)).status_code


async def _fail_for_acme(rollout: Rollout, gateway: Gateway) -> None:
    """Migrate the fleet while acme's table is locked."""
    with _locked(gateway, gateway.acme):
        report = await rollout.migrate(gateway)
    assert [failed.tenant.slug for failed in report.failed] == ["acme"]
    await gateway.catch_up()


async def test_a_tenant_is_served_during_and_after_its_failed_migration(rollout: Rollout, older: Gateway) -> None:
    """OP6: its tables fit the running code, so reads and writes answer as before."""
    write_revision(rollout.revisions, 1, _ADD_COLUMN)
    seen: set[int] = set()
    async with anyio.create_task_group() as group:

        async def serve() -> None:
            while True:
                seen.add((await _ask(older, older.acme)).status_code)

        group.start_soon(serve)
        await _fail_for_acme(rollout, older)
        group.cancel_scope.cancel()
    assert seen == {200}
    assert await _statuses(older) == (200, 200)
    made = await older.client.post("/v1/contacts", json={"name": "Ada"}, headers=older.acme.key())
    assert made.status_code == 201


async def test_a_release_serves_a_tenant_that_lacks_only_what_it_does_not_declare(
    rollout: Rollout, older: Gateway
) -> None:
    """OP6: a harmless added column, and a release that brings its revision but does not use it."""
    write_revision(rollout.revisions, 1, _ADD_COLUMN)
    await _fail_for_acme(rollout, older)
    async with rollout.gateways(resources=rollout.release("unaware")) as gateway:
        assert await _statuses(gateway) == (200, 200)


async def test_only_a_tenant_without_a_declared_column_gets_503_until_it_is_migrated(
    rollout: Rollout, older: Gateway
) -> None:
    """OP6, ID4: 503 with Retry-After instead of a query that must fail, and no restart after the repair."""
    write_revision(rollout.revisions, 1, _ADD_COLUMN)
    await _fail_for_acme(rollout, older)
    async with rollout.gateways(resources=rollout.release("newer", column=_COLUMN)) as gateway:
        refused = await _ask(gateway, gateway.acme)
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        assert (await _ask(gateway, gateway.globex)).status_code == 200
        ready = await gateway.client.get("/readyz")
        assert (ready.status_code, ready.json()) == (
            200,
            {"status": "ready", "tenants_behind": 0, "tenants_unservable": 1, "routes_unavailable": 0},
        )
        assert await _listed(gateway, servable="false") == ["acme"]
        assert await _listed(gateway, servable="true") == ["globex"]
        assert (await rollout.migrate(older)).complete
        await gateway.catch_up()
        assert await _statuses(gateway) == (200, 200)
        assert await _listed(gateway, servable="false") == []


async def _listed(gateway: Gateway, **query: str) -> list[str]:
    answer = await gateway.client.get("/operator/v1/migrations", params=query, headers=gateway.operator)
    return [each["slug"] for each in answer.json()["data"]]


async def test_sign_in_tokens_follow_the_same_rule(rollout: Rollout, older: Gateway) -> None:
    """OP6: people and keys alike."""
    write_revision(rollout.revisions, 1, _ADD_COLUMN)
    await _fail_for_acme(rollout, older)
    async with rollout.gateways(resources=rollout.release("newer", column=_COLUMN)) as gateway:
        statuses = {}
        for tenant in (gateway.acme, gateway.globex):
            login = {"email": tenant.emails["member"], "password": "a long enough passphrase"}
            grant = await gateway.client.post("/v1/auth/login", json=login | {"tenant": tenant.ref.slug})
            headers = {"Authorization": f"Bearer {grant.json()['access_token']}"}
            statuses[tenant.ref.slug] = (await gateway.client.get("/v1/contacts", headers=headers)).status_code
    assert statuses == {"acme": 503, "globex": 200}


async def test_a_suspended_tenant_that_is_behind_stays_suspended(rollout: Rollout, older: Gateway) -> None:
    """OP6: resumed, its revisions decide again."""
    write_revision(rollout.revisions, 1, _ADD_COLUMN)
    await _fail_for_acme(rollout, older)
    async with rollout.gateways(resources=rollout.release("newer", column=_COLUMN)) as gateway:
        tenants = (await gateway.client.get("/operator/v1/tenants", headers=gateway.operator)).json()["data"]
        path = next(f"/operator/v1/tenants/{each['id']}" for each in tenants if each["slug"] == "acme")
        for change, status in (("suspend", 403), ("resume", 503)):
            assert (await gateway.client.post(f"{path}/{change}", headers=gateway.operator)).status_code == 200
            await gateway.catch_up()
            assert (await _ask(gateway, gateway.acme)).status_code == status


async def test_a_fleet_that_is_newer_than_the_code_is_served(rollout: Rollout, older: Gateway) -> None:
    """OP4: the next version migrates before it serves, in part or whole."""
    write_revision(rollout.revisions, 1, _ADD_COLUMN)
    await _fail_for_acme(rollout, older)
    assert await _statuses(older) == (200, 200)
    assert (await rollout.migrate(older)).complete
    await older.catch_up()
    assert await _statuses(older) == (200, 200)
    assert (await older.client.get("/readyz")).json() == {"status": "ready"}


async def test_models_without_a_revision_stop_nobody(rollout: Rollout, older: Gateway) -> None:
    """OP6: a tenant at the release's own revisions is not older than it. Only the requests that need it fail."""
    async with rollout.gateways(resources=rollout.release("forgetful", column=_COLUMN)) as gateway:
        assert (await gateway.client.get("/v1/me", headers=older.acme.key())).status_code == 200


async def test_a_declared_oldest_revision_is_the_bound(rollout: Rollout, older: Gateway) -> None:
    """OP6: at exactly the oldest servable revision a tenant is served; one revision older, not."""
    write_revision(rollout.revisions, 1, 'op.execute("UPDATE contacts SET company = name WHERE company IS NULL")')
    write_revision(rollout.revisions, 2, _ADD_COLUMN)
    first = rollout.release("first", more='OLDEST_SERVABLE = "saas_0001"')
    (rollout.revisions / "saas_0002.py").rename(rollout.folder / "later.py")
    with _locked(older, older.acme):  # an UPDATE needs no more than the lock allows
        assert (await rollout.migrate(older)).complete
    (rollout.folder / "later.py").rename(rollout.revisions / "saas_0002.py")
    await _fail_for_acme(rollout, older)
    second = rollout.release("second", more='OLDEST_SERVABLE = "saas_0002"')
    for module, statuses in ((first, (200, 200)), (second, (503, 200))):
        async with rollout.gateways(resources=module) as gateway:
            assert await _statuses(gateway) == statuses
