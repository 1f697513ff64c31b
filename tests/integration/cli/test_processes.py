"""`tenantry serve` and `tenantry worker` as processes: they start, say what is wrong, and end in order."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path

import httpx
import psycopg
import pytest

from gateway.development.processes import LOOPBACK, Child, Launch, children_of, free_port, wait_until
from tests.fixtures.commands import Run, answer
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.demo import assert_gone

REPOSITORY = Path(__file__).parents[3]
_PATIENCE = 60.0  # seconds

Start = Callable[..., Child]


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterator[Start]:
    """Starts ``tenantry`` with the settings of a deployment."""
    with ExitStack() as stack:

        def launch(*arguments: str) -> Child:
            command = [sys.executable, "-m", "gateway.cli", *arguments]
            child = Child(
                Launch(command, REPOSITORY, tmp_path / f"{arguments[0]}.log", {"PATH": os.defpath, **environment})
            )
            stack.callback(child.stop)
            return child

        yield launch


def client(port: int) -> httpx.Client:
    return httpx.Client(base_url=f"http://{LOOPBACK}:{port}", trust_env=False, timeout=10)


def answers(port: int) -> bool:
    try:
        with client(port) as session:
            return session.get("/readyz").status_code == HTTPStatus.OK
    except httpx.TransportError:
        return False


@pytest.mark.usefixtures("migrated")
def test_serve_answers_with_several_workers_and_ends_in_order(start: Start) -> None:
    port = free_port()
    served = start("serve", "--port", str(port), "--workers", "2")
    wait_until(lambda: answers(port), served, _PATIENCE, "the gateway")
    assert len(children_of(served.pid)) >= 2
    with client(port) as session:
        live = session.get("/livez")
    assert live.status_code == HTTPStatus.OK
    assert "server" not in live.headers
    family = children_of(served.pid)
    assert served.stop() == 0
    assert_gone(family)


@pytest.mark.usefixtures("migrated")
def test_workers_end_when_their_manager_is_killed(start: Start) -> None:
    """OP2: else they would hold the port, and serve an old version for ever."""
    port = free_port()
    served = start("serve", "--port", str(port), "--workers", "2")
    wait_until(lambda: answers(port), served, _PATIENCE, "the gateway")
    family = children_of(served.pid)
    served.kill()
    assert_gone(family)


def test_serve_ends_when_no_worker_can_start(start: Start, environment: dict[str, str], tmp_path: Path) -> None:
    """Instead of trying for ever, with the reason in a log that nobody reads."""
    (tmp_path / "file").write_text("in the way")
    environment["TENANTRY_USAGE_FOLDER"] = str(tmp_path / "file" / "usage")
    served = start("serve", "--port", str(free_port()), "--workers", "2")
    assert served.wait(_PATIENCE) == 1
    assert "TENANTRY_USAGE_FOLDER" in served.log_tail(200)
    assert "did not start" in served.log_tail(3)


@pytest.mark.usefixtures("migrated")
def test_serve_says_when_its_port_is_taken(start: Start) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        served = start("serve", "--port", str(taken.getsockname()[1]))
        assert served.wait(_PATIENCE) == 1
    assert "Cannot listen on 127.0.0.1" in served.log_tail()
    assert "Traceback" not in served.log_tail()


def test_serve_refuses_to_start_without_its_secrets(start: Start, environment: dict[str, str]) -> None:
    del environment["TENANTRY_SIGNING_KEYS"]
    served = start("serve", "--port", str(free_port()))
    assert served.wait(_PATIENCE) == 1
    assert "TENANTRY_SIGNING_KEYS" in served.log_tail()


@pytest.mark.usefixtures("migrated")
def test_a_worker_takes_up_jobs_and_ends_in_order(start: Start, database_urls: DatabaseUrls) -> None:
    working = start("worker", "--concurrency", "2")
    wait_until(lambda: is_listed(database_urls), working, _PATIENCE, "the worker")
    assert working.stop() == 0


def test_a_tenant_is_suspended_and_resumed_by_commands_that_have_a_process_of_their_own(
    start: Start, migrated: Run, database_urls: DatabaseUrls
) -> None:
    """A test's own process has imported every model there is; a command has imported what it asks for."""
    assert migrated("tenants", "create", "acme").exit_code == 0
    for command, status in (("suspend", "suspended"), ("resume", "active")):
        told = start("tenants", command, "acme")
        assert told.wait(_PATIENCE) == 0, told.log_tail()
        with psycopg.connect(database_urls.owner) as connection:
            row = connection.execute("SELECT status FROM tenantry.tenants WHERE slug = 'acme'").fetchone()
        assert row == (status,)


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize(("typed", "code", "left"), [("n", 1, ["acme"]), ("y", 0, [])])
def test_who_deletes_a_tenant_at_a_terminal_is_asked(
    environment: dict[str, str], migrated: Run, typed: str, code: int, left: list[str]
) -> None:
    """IS8: and the question is no part of the one object."""
    migrated("tenants", "create", "acme")
    ours, theirs = os.openpty()
    try:
        os.write(ours, f"{typed}\n".encode())
        asked = subprocess.run(
            [sys.executable, "-m", "gateway.cli", "tenants", "delete", "acme", "--json"],
            cwd=REPOSITORY,
            env={"PATH": os.defpath, **environment},
            stdin=theirs,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert asked.returncode == code, asked.stderr
    assert json.loads(asked.stdout).get("deleted", False) is not bool(left)
    assert b"Delete acme (tnt_" in asked.stderr
    assert [each["slug"] for each in answer(migrated("tenants", "list", "--json"))["data"]] == left


def is_listed(urls: DatabaseUrls) -> bool:
    """A worker that takes jobs is in procrastinate's table of workers."""
    with psycopg.connect(urls.owner) as connection:
        row = connection.execute("SELECT count(*) FROM tenantry.procrastinate_workers").fetchone()
    return row is not None and row[0] > 0
