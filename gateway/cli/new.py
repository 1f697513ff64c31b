"""``tenantry new``: a project that ``tenantry dev`` serves."""

import keyword
import re
import sys
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from gateway.cli.command_group import AS_JSON
from gateway.cli.output import CommandFailed, print_json
from gateway.version import VERSION
from tenants.resources.project import OWN_PACKAGES

app = typer.Typer()

_TEMPLATE = "project_template"
_SUFFIX = ".template"
_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", re.ASCII)
_LONGEST_NAME = 40
_RESERVED = {*OWN_PACKAGES, "tests", "package"}
# The names in the template that depend on the project, and one that a package's build would leave out.
_PACKAGE_FOLDER = "package"
_IGNORE_FILE = "gitignore"


@app.command()
def new(
    *,
    name: Annotated[str, typer.Argument(help="Name of the project: lower-case letters, digits and hyphens.")],
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Create the folder NAME with a project: resources, plans, an empty folder of migrations, tests, README."""
    package = _package(name)
    try:
        folder = Path.cwd() / name
        _check_folder(folder)
        written = _write(folder, name, package)
    except OSError as error:
        raise CommandFailed("folder_unusable", f"Cannot create the folder {name}: {error.strerror}.") from error
    if as_json:
        print_json({"name": name, "folder": str(folder), "files": written})
        return
    typer.echo(f"Created {folder} with {len(written)} files. README.md describes them. Next:\n")
    typer.echo(f"    cd {name}\n    tenantry dev\n")


def _package(name: str) -> str:
    """The name of the Python package. Raises CommandFailed when the project cannot have that name."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        message = f"A project's name has at most {_LONGEST_NAME} lower-case letters, digits and single hyphens,"
        raise CommandFailed("name_invalid", f"{message} and begins with a letter, such as help-desk.")
    package = name.replace("-", "_")
    if package in _RESERVED or keyword.iskeyword(package) or keyword.issoftkeyword(package):
        raise CommandFailed("name_invalid", f"The name {name!r} is reserved. Choose another name.")
    if package in sys.stdlib_module_names or find_spec(package) is not None:
        message = f"{package!r} is already a Python module, which would be imported in place of the project's."
        raise CommandFailed("name_invalid", f"{message} Choose another name.")
    return package


def _check_folder(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        message = f"{folder} exists and is not an empty folder. Choose another name, or remove it."
        raise CommandFailed("folder_exists", message)


def _write(folder: Path, name: str, package: str) -> list[str]:
    """Write the project atomically: an interrupted run leaves no half of it. The paths of its files."""
    values = {"name": name, "package": package, "version": VERSION}
    with TemporaryDirectory(prefix=f".{name}-", dir=folder.parent) as staging:
        root = Path(staging) / name
        _render(files("gateway.cli") / _TEMPLATE, root, values)
        written = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
        root.replace(folder)
    return written


def _render(source: Traversable, target: Path, values: dict[str, str]) -> None:
    target.mkdir()
    for entry in source.iterdir():
        if entry.is_dir():
            _render(entry, target / (values["package"] if entry.name == _PACKAGE_FOLDER else entry.name), values)
        else:
            name = entry.name.removesuffix(_SUFFIX)
            text = Template(entry.read_text(encoding="utf-8")).substitute(values)
            (target / (f".{name}" if name == _IGNORE_FILE else name)).write_text(text, encoding="utf-8")
