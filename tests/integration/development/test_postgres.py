"""The local PostgreSQL: start, stop, crash and recovery."""

import os
import shutil
import socket
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from gateway.development import postgres
from gateway.development.folders import delete_folder
from gateway.development.postgres import LocalPostgres
from gateway.development.postgres_binaries import PostgresBinaries, find_postgres
from gateway.development.processes import account_named, children_of, free_port
from gateway.development.servers import ServerFailed
from tests.fixtures.servers import PostgresFactory


def one(url: str, query: LiteralString) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
        return row[0] if row else None


def run(url: str, statement: LiteralString) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def server_process(server: LocalPostgres) -> int:
    assert server.process_id is not None
    return server.process_id


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_restart_keeps_data_port_and_password(start_postgres: PostgresFactory) -> None:
    server = start_postgres()
    url = server.superuser_url
    run(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    with pytest.raises(psycopg.OperationalError):
        one(url, "SELECT 1")
    server.start()
    assert server.superuser_url == url
    assert one(url, "SELECT answer FROM kept") == 42


def test_another_process_can_use_the_folder_later(own_folder: Path) -> None:
    first = LocalPostgres(own_folder / "postgres", durable=False)
    first.start()
    run(first.superuser_url, "CREATE TABLE kept AS SELECT 42 AS answer")
    first.stop()
    second = LocalPostgres(own_folder / "postgres", durable=False)
    second.start()
    assert one(second.superuser_url, "SELECT answer FROM kept") == 42
    second.stop()


def test_sigkill_loses_no_committed_data(start_postgres: PostgresFactory) -> None:
    server = start_postgres()
    with psycopg.connect(server.superuser_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        connection.commit()
        server.kill()
        assert not server.running
        server.start()  # while the connection's orphaned backend may still be there
        connection.close()
    assert one(server.superuser_url, "SELECT answer FROM kept") == 42


def test_a_server_whose_parent_has_died_is_replaced(own_folder: Path) -> None:
    lost = LocalPostgres(own_folder / "postgres", durable=False)
    lost.start()
    lost._lock.release()  # as the operating system does when the starter ends
    heir = LocalPostgres(own_folder / "postgres", durable=False)
    heir.start()
    assert not lost.running
    assert one(heir.superuser_url, "SELECT 1") == 1
    heir.stop()


def test_a_stale_pid_file_with_the_id_of_another_process_is_harmless(start_postgres: PostgresFactory) -> None:
    server = start_postgres()
    pid_file = server.folder / "data" / "postmaster.pid"
    recorded = pid_file.read_text().splitlines()
    server.kill()
    pid_file.write_text("\n".join([str(os.getpid()), *recorded[1:]]))
    pid_file.chmod(0o644)
    server.start()
    assert one(server.superuser_url, "SELECT 1") == 1


def test_a_folder_in_use_is_refused(own_folder: Path) -> None:
    first = LocalPostgres(own_folder / "postgres", durable=False)
    first.start()
    with pytest.raises(ServerFailed, match=f"in use by process {os.getpid()}"):
        LocalPostgres(own_folder / "postgres").start()
    assert first.running
    first.stop()


def test_a_requested_port_that_is_in_use_is_a_clear_error(own_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = LocalPostgres(own_folder / "postgres", port=taken.getsockname()[1], durable=False)
        with pytest.raises(ServerFailed, match="could not bind"):
            server.start()
    assert not server.running


def test_a_port_can_be_requested(own_folder: Path) -> None:
    port = free_port()
    server = LocalPostgres(own_folder / "postgres", port=port, durable=False)
    server.start()
    assert one(server.superuser_url, "SHOW port") == str(port)
    server.stop()


def test_it_listens_on_loopback_only_and_requires_the_password(postgres_server: LocalPostgres) -> None:
    assert one(postgres_server.superuser_url, "SHOW listen_addresses") == "127.0.0.1"
    assert one(postgres_server.superuser_url, "SHOW unix_socket_directories") == ""
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(host="127.0.0.1", port=postgres_server.port, user="postgres", password="postgres")
    assert mode_of(postgres_server.folder / "superuser_password") == 0o600


def test_while_paused_it_keeps_connections_open_and_does_not_answer(start_postgres: PostgresFactory) -> None:
    server = start_postgres()
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        server.pause()
        connection.pgconn.send_query(b"SELECT 1")
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            psycopg.connect(server.superuser_url, connect_timeout=2)
        assert connection.pgconn.is_busy()
        server.resume()
        result = connection.pgconn.get_result()
        assert result is not None
        assert result.get_value(0, 0) == b"1"
        assert connection.pgconn.get_result() is None


def test_stopping_a_stopped_server_does_nothing(own_folder: Path) -> None:
    server = LocalPostgres(own_folder / "postgres")
    server.stop()
    server.kill()
    assert not server.running


def test_an_interrupted_initdb_is_repeated(own_folder: Path) -> None:
    half = own_folder / "postgres" / "data.unfinished"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    server = LocalPostgres(own_folder / "postgres", durable=False)
    server.start()
    assert one(server.superuser_url, "SELECT 1") == 1
    assert not half.exists()
    server.stop()


def test_it_never_runs_as_root(postgres_server: LocalPostgres) -> None:
    """PostgreSQL refuses to run as root: then it runs as `nobody`, otherwise as the current user."""
    expected = account_named("nobody").uid if os.geteuid() == 0 else os.geteuid()
    process = server_process(postgres_server)
    owners = {Path(f"/proc/{each}").stat().st_uid for each in (process, *children_of(process))}
    assert owners == {expected}
    assert (postgres_server.folder / "data").stat().st_uid == expected
    assert mode_of(postgres_server.folder / "data") == 0o700


def test_it_runs_from_a_home_that_other_users_cannot_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In root's home `nobody` can reach neither data nor programs, and its permissions are not changed."""
    closed = tmp_path / "closed"
    install_closed(find_postgres(), closed, monkeypatch)
    server = LocalPostgres(closed / "postgres", durable=False)
    server.start()
    assert one(server.superuser_url, "SELECT 1") == 1
    assert server.folder.is_relative_to(closed) == (os.geteuid() != 0)
    assert mode_of(closed) == 0o700
    run(server.superuser_url, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    again = LocalPostgres(closed / "postgres", durable=False)
    again.start()
    assert one(again.superuser_url, "SELECT answer FROM kept") == 42
    again.stop()
    shutil.rmtree(closed / "postgres")
    anew = LocalPostgres(closed / "postgres", durable=False)
    assert not (anew.folder / "data").exists()
    delete_folder(closed / "postgres")
    assert not anew.folder.exists()


def install_closed(found: PostgresBinaries, closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let PostgreSQL's programs be found in a folder that only its owner can enter."""
    closed.mkdir(mode=0o700)
    package = found.folder.parents[1]
    shutil.copytree(package, closed / package.name, symlinks=True)
    shutil.copytree(package.with_name(f"{package.name}.libs"), closed / f"{package.name}.libs")
    moved = replace(found, folder=closed / found.folder.relative_to(package.parent))
    monkeypatch.setattr(postgres, "find_postgres", lambda: moved)
