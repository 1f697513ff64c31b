"""What stands in the repository's files: no address of a registry, no path of a machine, no secret."""

import os
import re
import tomllib

from gateway.version import VERSION
from tests.architecture.sources import ROOT, shown, text_files

_REGISTRY = re.compile(
    r"index-url *[= ]|extra-index|\"resolved\": *\"http|registry *= *\"http|/simple[/\"]|files\.pythonhosted"
)
_MACHINE = re.compile(r"(?<![A-Za-z0-9_.~:/-])/(?:work|farm|root|home|Users)/(?!\{)")  # not SCIM's /Users/{id}
_SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/]{40}|\b(?:sk|rk)_live_[0-9a-zA-Z]{24,}\b|\bghp_[0-9A-Za-z]{36}\b"
)
_ABOUT_SECRETS = {"tests/unit/logs/test_redaction.py"}


def _lines_with(pattern: re.Pattern[str]) -> list[str]:
    here = shown(ROOT / "tests/architecture/test_repository.py")
    return [
        f"{shown(path)}:{number}"
        for path in text_files()
        if shown(path) not in {here, *_ABOUT_SECRETS}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_registry() -> None:
    """SC1: dependencies are pinned by hash, wherever they are fetched from."""
    assert _lines_with(_REGISTRY) == []


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    assert _lines_with(_MACHINE) == []


def test_no_file_holds_a_secret() -> None:
    """SE2."""
    assert _lines_with(_SECRET) == []


def test_every_dependency_is_pinned_with_hashes() -> None:
    """SC1: and python-jose is not among them."""
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-install.txt"):
        text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
        requirements = [line for line in text.splitlines() if line.strip()]
        assert requirements, name
        for requirement in requirements:
            assert re.match(r"[a-z0-9._-]+==\S+", requirement), requirement
            assert "--hash=sha256:" in requirement, requirement
        assert "python-jose" not in text


def test_what_serves_is_a_part_of_what_is_tested() -> None:
    """SC1: production installs the very versions that the tests ran with."""

    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9._-]+==\S+", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))

    tested = pins("requirements-dev.txt")
    assert pins("requirements.txt") < tested
    assert pins("requirements-install.txt") < tested


def test_known_floors_of_dependencies_hold() -> None:
    """SC1: versions below these have published faults that concern us."""
    text = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    for name, floor in {"starlette": (1, 3, 1), "h11": (0, 16)}.items():
        found = re.search(rf"^{name}==([0-9.]+)", text, re.MULTILINE)
        assert found
        assert tuple(int(part) for part in found[1].split(".")) >= floor


def test_the_version_that_is_served_is_the_one_that_is_packed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION


def test_what_ci_runs_is_check_and_test() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    commands = [line for line in script.read_text(encoding="utf-8").splitlines() if line.startswith("make")]
    assert commands == ["make check", "make test"]
