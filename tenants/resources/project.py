"""The SaaS team's project: the working folder, the module that its pyproject.toml names, and how that is imported.

Tenantry's packages are imported by their top-level names. The project's folder therefore comes last on ``sys.path``: a
``billing/`` or ``migrations/`` in it must not replace Tenantry's own
(docs/decisions/0021-append-the-project-to-the-import-path.md).
"""

import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from tenants.resources.errors import DeclarationError

OWN_PACKAGES = ("billing", "gateway", "migrations", "tenantry", "tenants")
PROJECT_FILE = "pyproject.toml"
_INSTALLED = Path(__file__).resolve().parents[2]  # the folder that holds OWN_PACKAGES
_KEYS = {"resources"}


def declared_resources(folder: Path) -> str | None:
    """``resources`` in the ``[tool.tenantry]`` table of the folder's pyproject.toml; None where there is none.

    Raises DeclarationError when the file is not TOML or the table has other keys.
    """
    file = folder / PROJECT_FILE
    if not file.is_file():
        return None
    table = _tenantry_table(file)
    unknown = sorted(table.keys() - _KEYS)
    if unknown:
        raise DeclarationError(str(file), f"[tool.tenantry] has the unknown key {unknown[0]!r}; it takes: resources")
    resources = table.get("resources")
    if resources is not None and (not isinstance(resources, str) or not resources):
        raise DeclarationError(str(file), 'resources in [tool.tenantry] must name a module, such as "crm.resources"')
    return resources


def import_from_project(name: str) -> ModuleType:
    """Import a module from the working folder or from what is installed.

    Raises DeclarationError when a package of Tenantry's hides one of the project's, or the import fails.
    """
    folder = Path.cwd()
    check_modules(folder)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    try:
        return import_module(name)
    except DeclarationError:
        raise
    except Exception as error:
        raise DeclarationError(f"Module {name}", *_import_faults(error, folder)) from error


def check_modules(folder: Path) -> None:
    """Raises DeclarationError when the folder has modules that packages of Tenantry's hide."""
    hidden = [*_hidden_modules(folder)]
    if hidden:
        raise DeclarationError(f"The project in {folder}", *hidden)


def _tenantry_table(file: Path) -> dict[str, Any]:
    try:
        tool = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {})
    except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise DeclarationError(str(file), f"it cannot be read: {error}") from error
    table = tool.get("tenantry", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise DeclarationError(str(file), "[tool.tenantry] must be a table")
    return table


def _hidden_modules(folder: Path) -> Iterator[str]:
    """The project's modules that cannot be imported. A folder without ``__init__.py`` is allowed."""
    if folder.resolve() == _INSTALLED:
        return  # the working folder is Tenantry's own repository
    for name in OWN_PACKAGES:
        for module in (folder / f"{name}.py", folder / name / "__init__.py"):
            if module.is_file():
                path = module.relative_to(folder)
                yield f"{path} cannot be imported: Tenantry has a package {name!r}. Rename {path.parts[0]}"


def _import_faults(error: Exception, folder: Path) -> Iterator[str]:
    yield f"it cannot be imported: {type(error).__name__}: {error}"
    if not isinstance(error, ImportError) or not error.name:
        return
    name = error.name.partition(".")[0]
    origin = getattr(sys.modules.get(name), "__file__", None)
    if origin is None:
        yield f"modules are searched for among the installed packages, then in {folder}"
    elif (folder / name).is_dir() and not Path(origin).is_relative_to(folder):
        yield f"{name!r} was imported from {Path(origin).parent}, which hides {name}/ in {folder}: rename the folder"
