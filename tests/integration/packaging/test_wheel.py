"""The wheel, installed in another environment: a project outside the repository runs on it."""

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.fixtures.demo import REPOSITORY, Demo, environment_without_settings

Demos = Callable[..., Demo]
PACKAGES = ("billing", "gateway", "migrations", "tenantry", "tenants")


def run(*command: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with these settings only."""
    environment = environment_without_settings() | settings
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S603


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the repository."""
    folder = tmp_path_factory.mktemp("dist")
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), folder=REPOSITORY)
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("tenantry-*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment with the wheel. Its dependencies are those that the tests run with."""
    root = tmp_path_factory.mktemp("environment")
    created = run(sys.executable, "-m", "venv", "--without-pip", str(root), folder=root)
    assert created.returncode == 0, created.stderr
    python = root / "bin" / "python"
    install = ("install", "-q", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel))
    installed = run(sys.executable, "-m", "pip", "--python", str(python), *install, folder=root)
    assert installed.returncode == 0, installed.stderr
    (packages,) = root.glob("lib/python*/site-packages")
    compiled = run(str(python), "-m", "compileall", "-q", "-j", "0", str(packages), folder=root)
    assert compiled.returncode == 0, compiled.stdout
    # The editable installation of the repository is not seen: a .pth file in a folder that a .pth names is not read.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return root / "bin"


@pytest.fixture(scope="module")
def new_project(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that the installed `tenantry new` has written."""
    folder = tmp_path_factory.mktemp("new")
    created = run(str(environment / "tenantry"), "new", "help-desk", folder=folder)
    assert created.returncode == 0, created.stderr
    return folder / "help-desk"


@pytest.fixture
def project(new_project: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return Path(shutil.copytree(new_project, tmp_path / new_project.name))


def test_the_wheel_holds_the_packages_with_all_their_files(wheel: Path) -> None:
    """Lua scripts, Casbin's model, Alembic's templates and revisions, type markers, the template of a project."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = (path for package in PACKAGES for path in (REPOSITORY / package).rglob("*") if path.is_file())
    existing = {str(path.relative_to(REPOSITORY)) for path in files if "__pycache__" not in path.parts}
    assert existing > {f"{package}/py.typed" for package in PACKAGES}
    assert names == existing


def test_the_modules_come_from_the_wheel(environment: Path, project: Path) -> None:
    """Otherwise the tests below would show nothing."""
    code = "import gateway, tenantry; print(gateway.__file__, tenantry.__file__)"
    for path in run(str(environment / "python"), "-c", code, folder=project).stdout.split():
        assert Path(path).is_relative_to(environment.parent)


def test_a_new_project_passes_its_own_tests(environment: Path, project: Path) -> None:
    """They start `tenantry dev`, which writes the first revision, and send requests."""
    tested = run(str(environment / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", folder=project)
    assert tested.returncode == 0, tested.stdout
    assert "6 passed" in tested.stdout
    assert [each.name for each in (project / "help_desk/migrations").glob("*_0001_*.py")] == [
        "help_desk_0001_first_tables.py"
    ]


def test_folders_named_like_our_packages_do_not_replace_them(environment: Path, project: Path, demos: Demos) -> None:
    """Installed packages come first. With several workers, which are processes of their own."""
    for name in ("billing", "migrations"):
        (project / name).mkdir()
        (project / name / "settings.py").write_text("raise RuntimeError('the wrong module')\n")
    demo = demos("--workers", "2", project=project, command=(str(environment / "tenantry"),))
    tenant = demo.start()["tenants"][0]
    assert tenant["plan"] == "free"
    with demo.client() as client:
        response = client.get("/v1/tasks", headers={"X-API-Key": tenant["keys"]["viewer"]})
    assert response.status_code == HTTPStatus.OK
    assert demo.stop() == 0
    assert f"{demo.port}/v1/tasks" in demo.output()


def test_modules_that_ours_hide_are_named_at_the_start(environment: Path, project: Path) -> None:
    """Before a server is started and a file is written."""
    (project / "migrations").mkdir()
    (project / "migrations" / "__init__.py").write_text("")
    (project / "tenants.py").write_text("")
    started = run(str(environment / "tenantry"), "dev", folder=project)
    assert (started.returncode, started.stdout) == (1, "")
    assert "migrations/__init__.py cannot be imported" in started.stderr
    assert "tenants.py cannot be imported" in started.stderr
    assert "Rename" in started.stderr
    assert not (project / ".tenantry").exists()


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_a_package_on_pythonpath_that_hides_ours_is_named(
    environment: Path, project: Path, option: tuple[str, ...]
) -> None:
    """PYTHONPATH comes before the installed packages."""
    (project / "billing").mkdir()
    (project / "billing" / "__init__.py").write_text("")
    failed = run(str(environment / "tenantry"), "tenants", "list", *option, folder=project, PYTHONPATH=str(project))
    assert failed.returncode == 1
    assert str(project / "billing") in (failed.stdout if option else failed.stderr)
    assert "Traceback" not in failed.stderr


def test_outside_of_a_project_dev_explains_how_to_begin(environment: Path, tmp_path: Path) -> None:
    started = run(str(environment / "tenantry"), "dev", folder=tmp_path)
    assert started.returncode == 1
    assert "tenantry new NAME" in started.stderr
    assert list(tmp_path.iterdir()) == []
