"""`tenantry new` writes a project, or refuses and writes nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.main import app
from tenants.resources.project import OWN_PACKAGES, declared_resources


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["new", *arguments])


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_project_has_everything_that_dev_needs(folder: Path) -> None:
    result = new("help-desk", "--json")
    assert result.exit_code == 0, result.output
    created = json.loads(result.stdout)
    assert created["folder"] == str(folder / "help-desk")
    assert (
        set(created["files"])
        == files_in(folder / "help-desk")
        == {
            ".gitignore",
            "README.md",
            "pyproject.toml",
            "help_desk/__init__.py",
            "help_desk/endpoints.py",
            "help_desk/plans.toml",
            "help_desk/resources.py",
            "help_desk/routes.toml",
            "help_desk/tasks.py",
            "help_desk/migrations/__init__.py",
            "tests/conftest.py",
            "tests/test_tasks.py",
        }
    )
    assert declared_resources(folder / "help-desk") == "help_desk.resources"
    assert [each.name for each in folder.iterdir()] == ["help-desk"]


def test_the_project_is_formatted_and_passes_lint(folder: Path) -> None:
    """And no placeholder is left."""
    new("help-desk")
    options = ("--isolated", "--no-cache", "--line-length", "120")
    for command in (("format", "--check"), ("check", "--select", "F,E,W,I,UP,B,ANN,RUF,PT,SIM")):
        ruff = [sys.executable, "-m", "ruff", *command, *options, "."]
        checked = subprocess.run(ruff, cwd=folder / "help-desk", capture_output=True, check=False)  # noqa: S603
        assert checked.returncode == 0, checked.stdout
    for file in files_in(folder):
        assert "$" not in (folder / file).read_text(), file


def test_the_next_commands_are_printed() -> None:
    printed = new("shop").stdout
    assert "cd shop\n    tenantry dev\n" in printed


def test_an_empty_folder_is_used(folder: Path) -> None:
    (folder / "shop").mkdir()
    assert new("shop").exit_code == 0
    assert (folder / "shop" / "pyproject.toml").is_file()


@pytest.mark.parametrize("existing", ["file", "folder", "broken link"])
def test_existing_files_are_never_overwritten(folder: Path, existing: str) -> None:
    target = folder / "shop"
    if existing == "file":
        target.write_text("mine")
    elif existing == "folder":
        target.mkdir()
        (target / "notes.txt").write_text("mine")
    else:
        target.symlink_to("nowhere")
    before = files_in(folder)
    refused = new("shop", "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["error"]["code"] == "folder_exists"
    assert files_in(folder) == before


@pytest.mark.parametrize(
    "name",
    [
        *OWN_PACKAGES,
        *("Shop", "1shop", "-shop", "shop-", "a--b", "my shop", "shöp", "a/b", "..", "", "x" * 41),
        *("class", "match", "json", "fastapi", "tests"),
    ],
)
def test_a_name_that_no_project_can_have_is_refused(folder: Path, name: str) -> None:
    """It would not be importable, or hide or be hidden by another module."""
    refused = new("--json", "--", name)
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["error"]["code"] == "name_invalid"
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_error_in_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "gone").mkdir()
    monkeypatch.chdir(folder / "gone")
    (folder / "gone").rmdir()
    refused = new("shop")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: ")
