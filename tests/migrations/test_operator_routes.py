"""``/operator/v1/migrations``: operators see the state of each schema and the error of a failed migration."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
import psycopg
import pytest
from psycopg import sql

from examples.crm.resources import MIGRATIONS
from migrations.runner import FleetReport, migrate_tenants
from tenants.identifiers import TENANT, show
from tests.fixtures.gateways import Gateway, GatewayFactory
from tests.fixtures.tenants import write_revision

pytestmark = pytest.mark.anyio

_ROUTE = "/operator/v1/migrations"
_BEFORE, _TARGET = ["crm_0001", "tenantry_0003"], ["crm_0001", "saas_0001", "tenantry_0003"]


@dataclass(frozen=True, slots=True)
class Rollout:
    """A gateway whose code is one revision ahead of its database, until ``migrate`` is called."""

    gateway: Gateway
    revisions: Path

    async def migrate(self) -> FleetReport:
        return await anyio.to_thread.run_sync(migrate_tenants, self.gateway.urls.owner, (self.revisions,))

    def execute(self, statement: str) -> None:
        """Run a statement as the owner in acme's schema."""
        with psycopg.connect(self.gateway.urls.owner) as owner:
            owner.execute(sql.SQL("SET LOCAL search_path = {}").format(sql.Identifier(self.gateway.acme.ref.schema)))
            owner.execute(statement.encode())


@pytest.fixture
async def rollout(gateways: GatewayFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rollout]:
    """The example's resources with one more revision."""
    revisions, module = tmp_path / "revisions", f"newer_{tmp_path.name}"
    shutil.copytree(MIGRATIONS, revisions)
    write_revision(revisions, 1, 'op.execute("CREATE TABLE ratings (stars int)")')
    (tmp_path / f"{module}.py").write_text(
        "from pathlib import Path\n"
        "from examples.crm.resources import RESOURCES\n"
        'MIGRATIONS = Path(__file__).parent / "revisions"\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    async with gateways(resources=module) as gateway:
        yield Rollout(gateway, revisions)


async def _ask(gateway: Gateway, path: str = "", /, **query: str | int) -> Any:
    answer = await gateway.client.get(f"{_ROUTE}{path}", params=query, headers=gateway.operator)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _slugs(gateway: Gateway, **query: str | int) -> list[str]:
    return [each["slug"] for each in (await _ask(gateway, **query))["data"]]


async def test_a_failed_tenant_shows_its_error_until_it_is_migrated(rollout: Rollout) -> None:
    """IS9, OP6: the ledger has PostgreSQL's error for operators, and the tenant is served as it is."""
    gateway, acme = rollout.gateway, show(TENANT, rollout.gateway.acme.ref.id)
    assert await _slugs(gateway, behind="true") == ["globex", "acme"]
    rollout.execute("CREATE TABLE ratings (mine text)")
    assert not (await rollout.migrate()).complete
    assert await _slugs(gateway, state="applied", behind="false") == ["globex"]
    (failed,) = (await _ask(gateway, state="failed"))["data"]
    assert failed | {"error": "", "changed_at": ""} == {
        "id": acme,
        "slug": "acme",
        "state": "failed",
        "revisions": _BEFORE,
        "target": _TARGET,
        "behind": True,
        "servable": True,
        "attempts": 1,
        "error": "",
        "changed_at": "",
    }
    assert failed["error"].startswith('42P07: relation "ratings" already exists')
    assert await _ask(gateway, f"/{acme}") == failed
    rollout.execute("DROP TABLE ratings")
    assert (await rollout.migrate()).complete
    repaired = await _ask(gateway, f"/{acme}")
    assert (repaired["state"], repaired["revisions"], repaired["attempts"]) == ("applied", _TARGET, 0)
    assert (repaired["error"], repaired["behind"]) == (None, False)


async def test_a_schema_of_the_next_version_is_not_behind(rollout: Rollout, gateways: GatewayFactory) -> None:
    """OP4: during a rollout the older version must not report a need to migrate."""
    assert (await rollout.migrate()).complete
    async with gateways() as older:
        assert await _slugs(older, behind="true") == []
        assert await _slugs(older, behind="false") == ["globex", "acme"]
        status = (await _ask(older))["data"][0]
    assert (status["revisions"], status["target"], status["behind"]) == (_TARGET, _BEFORE, False)


async def test_the_state_of_the_control_schema_is_returned(gateway: Gateway) -> None:
    status = await _ask(gateway, "/control")
    assert status["revisions"] == status["target"] != []
    assert not status["behind"]
    with psycopg.connect(gateway.urls.owner) as owner:
        owner.execute("UPDATE tenantry.alembic_version SET version_num = '0001'")
    assert await _ask(gateway, "/control") == status | {"revisions": ["0001"], "behind": True}


async def test_migrations_are_listed_in_pages_with_a_filter(gateway: Gateway) -> None:
    """DA3, IS6: a cursor belongs to its list."""
    first = await _ask(gateway, limit=1, state="applied")
    assert ([each["slug"] for each in first["data"]], first["has_more"]) == (["globex"], True)
    last = await _ask(gateway, limit=1, state="applied", cursor=first["next_cursor"])
    assert ([each["slug"] for each in last["data"]], last["has_more"], last["next_cursor"]) == (["acme"], False, None)
    assert await _slugs(gateway, sort="created_at") == ["acme", "globex"]
    elsewhere = {"limit": 1, "state": "failed", "cursor": first["next_cursor"]}
    refused = await gateway.client.get(_ROUTE, params=elsewhere, headers=gateway.operator)
    assert [each["code"] for each in refused.json()["errors"]] == ["bad_cursor"]


@pytest.mark.parametrize("path", ["", "/control", "/tnt_01h455vb4pex5vsknk084sn02q"])
async def test_credentials_of_tenants_are_forbidden(gateway: Gateway, path: str) -> None:
    """AZ1: PostgreSQL's error messages can contain a tenant's data."""
    assert (await gateway.client.get(f"{_ROUTE}{path}")).status_code == 401
    answer = await gateway.client.get(f"{_ROUTE}{path}", headers=gateway.acme.key("owner"))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_unknown_parameters_are_rejected(gateway: Gateway) -> None:
    """AZ7."""
    for query, pointer in (
        ("state=late", "state"),
        ("behind=perhaps", "behind"),
        ("servable=no%20", "servable"),
        ("slug=acme", "slug"),
    ):
        answer = await gateway.client.get(f"{_ROUTE}?{query}", headers=gateway.operator)
        assert answer.status_code == 422
        assert [each["pointer"] for each in answer.json()["errors"]] == [f"/query/{pointer}"]


async def test_a_migration_of_an_unknown_tenant_is_not_found(gateway: Gateway) -> None:
    """AZ4."""
    for tenant in ("tnt_01h455vb4pex5vsknk084sn02q", "key_01h455vb4pex5vsknk084sn02q", "acme"):
        assert (await gateway.client.get(f"{_ROUTE}/{tenant}", headers=gateway.operator)).status_code == 404
