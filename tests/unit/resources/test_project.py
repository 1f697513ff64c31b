"""A project's folder: the module that its pyproject.toml names, and modules that cannot be imported from it."""

import sys
from pathlib import Path

import pytest

from tenants.resources.errors import DeclarationError
from tenants.resources.project import OWN_PACKAGES, check_modules, declared_resources, import_from_project


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, which is the working folder of this test. What it imports is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    return tmp_path


def write(file: Path, text: str = "") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_pyproject_names_the_module(folder: Path) -> None:
    assert declared_resources(folder) is None
    write(folder / "pyproject.toml", "[project]\nname = 'shop'\n")
    assert declared_resources(folder) is None
    write(folder / "pyproject.toml", "[tool.tenantry]\nresources = 'shop.resources'\n")
    assert declared_resources(folder) == "shop.resources"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[tool", "cannot be read"),
        ("[tool]\ntenantry = 3", "must be a table"),
        ("[tool.tenantry]\nresources = 3", "must name a module"),
        ("[tool.tenantry]\nresources = ''", "must name a module"),
        ("[tool.tenantry]\nresource = 'shop'", "unknown key 'resource'"),
    ],
)
def test_an_invalid_pyproject_is_an_error_that_names_the_file(folder: Path, text: str, fault: str) -> None:
    write(folder / "pyproject.toml", text)
    with pytest.raises(DeclarationError, match=fault) as raised:
        declared_resources(folder)
    assert str(folder / "pyproject.toml") in str(raised.value)


def test_modules_are_imported_from_the_working_folder(folder: Path) -> None:
    write(folder / "a_shop" / "resources.py", "NAME = 'ours'")
    assert import_from_project("a_shop.resources").NAME == "ours"


def test_the_working_folder_comes_after_the_installed_packages(folder: Path) -> None:
    write(folder / "yaml.py", "NAME = 'ours'")
    assert not hasattr(import_from_project("yaml"), "NAME")
    assert sys.path[-1] == str(folder)


@pytest.mark.parametrize("name", OWN_PACKAGES)
@pytest.mark.parametrize("module", ["{}.py", "{}/__init__.py"])
def test_a_module_with_the_name_of_one_of_our_packages_is_refused(folder: Path, name: str, module: str) -> None:
    write(folder / module.format(name))
    with pytest.raises(DeclarationError, match=f"Tenantry has a package '{name}'"):
        check_modules(folder)


def test_a_folder_that_is_no_package_may_have_any_name(folder: Path) -> None:
    """Alembic reads revisions by their path: migrations/ needs no ``__init__.py``."""
    write(folder / "migrations" / "0001_first.py")
    write(folder / "billing" / "invoices.csv")
    check_modules(folder)


@pytest.mark.parametrize("package", ["billing", "yaml"])
def test_a_failed_import_names_the_folder_that_an_installed_package_hides(folder: Path, package: str) -> None:
    write(folder / package / "invoices.py")
    write(folder / "a_shop.py", f"import {package}.invoices")
    with pytest.raises(DeclarationError, match=f"hides {package}/ in {folder}: rename the folder"):
        import_from_project("a_shop")


def test_an_unknown_module_says_where_it_was_searched_for(folder: Path) -> None:
    with pytest.raises(DeclarationError, match=f"then in {folder}"):
        import_from_project("no_such_shop")


def test_an_error_in_the_module_is_reported_as_it_is(folder: Path) -> None:
    write(folder / "a_shop.py", "1 / 0")
    with pytest.raises(DeclarationError, match="ZeroDivisionError: division by zero"):
        import_from_project("a_shop")
