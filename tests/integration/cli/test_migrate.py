"""`tenantry migrate` and `tenantry resources check` as an operator sees them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from examples.crm.resources import MIGRATIONS
from tests.fixtures.commands import Run, answer
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.tenants import write_revision

_MODULE = """
from pathlib import Path
from examples.crm.resources import RESOURCES
MIGRATIONS = Path(__file__).parent / "revisions"
{more}
"""
_QUICKLY = ("--lock-wait", "0.3")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the example's revisions and one more."""
    shutil.copytree(MIGRATIONS, tmp_path / "revisions")
    write_revision(tmp_path / "revisions", 1, 'op.execute("ALTER TABLE contacts ADD COLUMN nickname text")')
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def write_module(project: Path, name: str, more: str = "") -> str:
    """Write a project's module; returns its name, which is new for every test."""
    module = f"{name}_{project.name}"
    (project / f"{module}.py").write_text(_MODULE.format(more=more))
    return module


@contextmanager
def locked(urls: DatabaseUrls, schema: str) -> Iterator[None]:
    with psycopg.connect(urls.owner, application_name="nightly report") as holder:
        holder.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.Identifier(schema, "contacts")))
        yield


def test_the_summary_says_who_is_blocked_by_whom_and_who_is_served(
    migrated: Run, database_urls: DatabaseUrls, project: Path
) -> None:
    """OP6: exit 1, the tenant is named with the session that locks it, and the next run finishes."""
    acme, _ = (answer(migrated("tenants", "create", slug, "--json")) for slug in ("acme", "globex"))
    module = write_module(project, "unaware")
    strict = write_module(project, "strict", 'OLDEST_SERVABLE = "saas_0001"')
    with locked(database_urls, acme["schema"]):
        report = answer(migrated("migrate", "--json", *_QUICKLY, TENANTRY_RESOURCES=module), exit_code=1)
        text = migrated("migrate", *_QUICKLY, TENANTRY_RESOURCES=strict).stdout
    (failed,) = report["failed"]
    (holder,) = failed["blocked_by"]
    assert (report["complete"], report["migrated"], report["skipped"]) == (False, 1, 0)
    assert (failed["tenant"], failed["served"], failed["revisions"]) == ("acme", True, ["crm_0001", "tenantry_0003"])
    assert (holder["application"], holder["relation"], holder["wanted"], holder["held"]) == (
        "nightly report",
        "contacts",
        "AccessExclusiveLock",
        "AccessShareLock",
    )
    assert "answers 503" in text
    assert "blocked by AccessShareLock of pid" in text
    doctor = answer(migrated("doctor", "--json", TENANTRY_RESOURCES=module))
    assert _tenants(doctor) == ("warning", "behind: acme; served as they are, run `tenantry migrate`")
    doctor = answer(migrated("doctor", "--json", TENANTRY_RESOURCES=strict), exit_code=1)
    assert _tenants(doctor) == ("wrong", "answer 503 until migrated: acme; run `tenantry migrate`")
    assert answer(migrated("migrate", "--json", TENANTRY_RESOURCES=module))["migrated"] == 1


def _tenants(report: Any) -> tuple[str, str]:
    return next((each["verdict"], each["what"]) for each in report["checks"] if each["name"] == "tenant schemas")


def test_a_locked_control_schema_is_one_sentence(migrated: Run, database_urls: DatabaseUrls) -> None:
    with psycopg.connect(database_urls.owner, application_name="a backup") as holder:
        holder.execute("LOCK TABLE tenantry.procrastinate_jobs IN ACCESS EXCLUSIVE MODE")
        error = answer(migrated("migrate", "--json", *_QUICKLY), exit_code=1)["error"]
    assert error["code"] == "locked"
    assert "a backup" in error["details"][0]


def test_an_oldest_servable_revision_that_does_not_exist_is_refused(migrated: Run, project: Path) -> None:
    """OP6: nothing is migrated or served with it."""
    module = write_module(project, "mistaken", 'OLDEST_SERVABLE = "crm_9999"')
    for command in (("migrate", "--json"), ("resources", "check", "--json"), ("tenants", "list", "--json")):
        error = answer(migrated(*command, TENANTRY_RESOURCES=module), exit_code=1)["error"]
        assert error["code"] == "declaration_invalid", command
        assert "crm_9999" in error["message"]
    module = write_module(project, "numbered", "OLDEST_SERVABLE = 3")
    assert "OLDEST_SERVABLE" in migrated("resources", "check", TENANTRY_RESOURCES=module).output


def test_resources_check_finds_models_without_a_revision(migrated: Run, project: Path) -> None:
    """Before a release: the models and the revisions agree, and the oldest servable revision exists."""
    module = write_module(project, "declared", 'OLDEST_SERVABLE = "crm_0001"')
    (project / "revisions" / "saas_0001.py").unlink()
    checked = answer(migrated("resources", "check", "--json", TENANTRY_RESOURCES=module))
    assert checked == {"resources": ["contacts", "deals"], "revisions": ["crm_0001", "tenantry_0003"]} | {
        "oldest_servable": "crm_0001"
    }
    write_revision(project / "revisions", 2, 'op.execute("ALTER TABLE contacts ADD COLUMN nickname text")')
    later = project / "revisions" / "saas_0002.py"
    later.write_text(later.read_text().replace("saas_0001", "crm_0001"))
    refused = answer(migrated("resources", "check", "--json", TENANTRY_RESOURCES=module), exit_code=1)["error"]
    assert refused["code"] == "models_changed"
    assert "nickname" in "".join(refused["details"])
