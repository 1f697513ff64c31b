"""The project that `tenantry dev` serves: its plans, its first revision, and changes of its models."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from billing.plans.catalogue import read_catalogue
from gateway.cli.main import app
from gateway.development.prepare import migrate_fleet
from gateway.development.project import Project
from gateway.development.servers import SetUpFailed
from migrations.locks import LockWait
from migrations.runner import migrate_tenants
from tenants.resources.registry import Registry
from tests.fixtures.commands import PLANS
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.demo import environment_without_settings
from tests.fixtures.saas import write_saas
from tests.fixtures.tenants import make_tenant, open_database

# In a process of its own: models stay registered with SQLAlchemy for the life of a process.
_LOAD = """
import json, pathlib, sys
from gateway.development.project import load_project
from gateway.development.servers import SetUpFailed
try:
    state = pathlib.Path("compared")
    project = load_project("help_desk.resources", sys.argv[1], state.read_text() if state.exists() else "")
    state.write_text(project.compared)
    found = {"plans": [project.plan_at(0), project.plan_at(1)], "paid": project.paid_plans, "notes": project.notes}
except SetUpFailed as error:
    found = {"error": str(error)}
print(json.dumps(found))
"""
_SOLO = (
    '[[plans]]\ncode = "solo"\nname = "Solo"\nrank = 0\nwindows = [{ name = "burst", quota = 5, window_seconds = 1 }]\n'
)
_COLUMN = "    notes: Mapped[str | None] = mapped_column(String(500))\n"

Load = Callable[..., Any]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Python package of a new project."""
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["new", "help-desk"]).exit_code == 0
    return tmp_path / "help-desk" / "help_desk"


@pytest.fixture
def load(package: Path, database_urls: DatabaseUrls) -> Load:
    """Loads the project, each time with what the time before has found, and with the test's database."""

    def run(owner_url: str = database_urls.owner) -> Any:
        command = [sys.executable, "-P", "-c", _LOAD, owner_url]
        environment = environment_without_settings()
        loaded = subprocess.run(  # noqa: S603 - a constant script
            command, cwd=package.parent, env=environment, capture_output=True, text=True, check=False
        )
        assert loaded.returncode == 0, loaded.stderr
        return json.loads(loaded.stdout)

    return run


def revisions_of(package: Path) -> list[str]:
    return sorted(each.name for each in (package / "migrations").glob("*_0*.py"))


def test_the_first_revision_is_written_once_and_a_changed_model_is_reported(package: Path, load: Load) -> None:
    """Later revisions are never written by themselves: one may drop a column."""
    first = load()
    assert revisions_of(package) == ["help_desk_0001_first_tables.py"]
    assert [note for note in first["notes"] if "Wrote the first revision" in note and "Commit it" in note]
    assert load()["notes"] == []
    assert load("postgresql://nobody@127.0.0.1:1/none")["notes"] == []  # unchanged: not compared again
    models = package / "tasks.py"
    models.write_text(models.read_text().replace("    due_on: Mapped", f"{_COLUMN}    due_on: Mapped"))
    (note,) = load()["notes"]
    assert "op.add_column('tasks', sa.Column('notes'" in note
    assert "resources migration -m" in note
    assert revisions_of(package) == ["help_desk_0001_first_tables.py"]


def test_without_migrations_and_plans_both_have_a_default(package: Path, load: Load) -> None:
    shutil.rmtree(package / "migrations")
    (package / "plans.toml").unlink()
    found = load()
    assert found["plans"] == ["free", "pro"]
    assert "There is no plans.toml" in found["notes"][0]
    assert revisions_of(package) == ["help_desk_0001_first_tables.py"]


def test_plans_may_have_any_names_and_there_may_be_one(package: Path, load: Load) -> None:
    assert load() | {"notes": []} == {"plans": ["free", "team"], "paid": ["team"], "notes": []}
    (package / "plans.toml").write_text(_SOLO)
    assert load() == {"plans": ["solo", "solo"], "paid": [], "notes": []}


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("plans.toml", "plans = ", "plans.toml cannot be read"),
        ("plans.toml", _SOLO.replace("rank = 0", "rank = -1"), "plans.0.rank"),
        ("resources.py", "RESOURCES = (", "SyntaxError"),
        ("resources.py", "RESOURCES = ()", "MIGRATIONS must be the folder"),
    ],
)
def test_an_invalid_project_is_an_error_that_names_the_file(
    package: Path, load: Load, file: str, text: str, fault: str
) -> None:
    (package / file).write_text(text)
    assert fault in load()["error"]


def test_a_failed_tenant_is_a_note_while_the_project_can_serve_it(database_urls: DatabaseUrls, tmp_path: Path) -> None:
    """OP6: `tenantry dev` starts; it refuses when the tenant would get 503 only."""
    folder, wait = write_saas(tmp_path / "saas", upto=1), LockWait(0.1, total=0.3)
    assert migrate_tenants(database_urls.owner, (folder,)).complete
    schema = asyncio.run(_make_tenant(database_urls))
    write_saas(folder)
    catalogue = read_catalogue(PLANS)
    project, strict = (Project(Registry((), (folder,), (), oldest), catalogue) for oldest in (None, "saas_0002"))
    with psycopg.connect(database_urls.owner) as holder:
        holder.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.Identifier(schema, "notes")))
        migrate_fleet(database_urls.owner, project, wait)
        with pytest.raises(SetUpFailed, match="acme: 55P03"):
            migrate_fleet(database_urls.owner, strict, wait)
    (note,) = project.notes
    assert "served as they are: acme: 55P03" in note
    migrate_fleet(database_urls.owner, strict, wait)


async def _make_tenant(urls: DatabaseUrls) -> str:
    async with open_database(urls.gateway) as database:
        return (await make_tenant(database, "acme")).schema
