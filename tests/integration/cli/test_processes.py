"""`tenantry serve` and `tenantry worker` as processes: start, errors, shutdown."""

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
from tests.fixtures.demo import assert_exited

REPOSITORY = Path(__file__).parents[3]
_TIMEOUT = 60.0  # seconds

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
    base = f"http://{LOOPBACK}:{port}"
    return httpx.Client(base_url=base, trust_env=False, timeout=10, verify=False)  # noqa: S501 - plain HTTP; certificates take 30 ms to load


def answers(port: int) -> bool:
    try:
        with client(port) as session:
            return session.get("/readyz").status_code == HTTPStatus.OK
    except httpx.TransportError:
        return False


@pytest.mark.usefixtures("migrated")
def test_serve_runs_several_workers_and_shuts_down(start: Start) -> None:
    port = free_port()
    served = start("serve", "--port", str(port), "--workers", "2")
    wait_until(lambda: answers(port), served, _TIMEOUT, "the gateway")
    assert len(children_of(served.pid)) >= 2
    with client(port) as session:
        live = session.get("/livez")
    assert live.status_code == HTTPStatus.OK
    assert "server" not in live.headers
    process_ids = children_of(served.pid)
    assert served.stop() == 0
    assert_exited(process_ids)


@pytest.mark.usefixtures("migrated")
def test_workers_exit_when_their_manager_is_killed(start: Start) -> None:
    """OP2: otherwise they would keep the port and serve an old version."""
    port = free_port()
    served = start("serve", "--port", str(port), "--workers", "2")
    wait_until(lambda: answers(port), served, _TIMEOUT, "the gateway")
    process_ids = children_of(served.pid)
    served.kill()
    assert_exited(process_ids)


def test_serve_exits_when_no_worker_can_start(start: Start, environment: dict[str, str], tmp_path: Path) -> None:
    """Instead of trying again without an end."""
    (tmp_path / "file").write_text("in the way")
    environment["TENANTRY_USAGE_FOLDER"] = str(tmp_path / "file" / "usage")
    served = start("serve", "--port", str(free_port()), "--workers", "2")
    assert served.wait(_TIMEOUT) == 1
    assert "TENANTRY_USAGE_FOLDER" in served.log_tail(200)
    assert "did not start" in served.log_tail(3)


@pytest.mark.usefixtures("migrated")
def test_serve_reports_a_port_in_use(start: Start) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        served = start("serve", "--port", str(taken.getsockname()[1]))
        assert served.wait(_TIMEOUT) == 1
    assert "Cannot listen on 127.0.0.1" in served.log_tail()
    assert "Traceback" not in served.log_tail()


def test_serve_refuses_to_start_without_its_secrets(start: Start, environment: dict[str, str]) -> None:
    del environment["TENANTRY_SIGNING_KEYS"]
    served = start("serve", "--port", str(free_port()))
    assert served.wait(_TIMEOUT) == 1
    assert "TENANTRY_SIGNING_KEYS" in served.log_tail()


@pytest.mark.usefixtures("migrated")
def test_a_worker_takes_jobs_and_shuts_down(start: Start, database_urls: DatabaseUrls) -> None:
    working = start("worker", "--concurrency", "2")
    wait_until(lambda: is_registered(database_urls), working, _TIMEOUT, "the worker")
    assert working.stop() == 0


def test_commands_in_a_process_of_their_own_import_the_models_that_they_need(
    start: Start, migrated: Run, database_urls: DatabaseUrls
) -> None:
    """The process of a test has imported every model; a command imports only some."""
    assert migrated("tenants", "create", "acme").exit_code == 0
    for command, status in (("suspend", "suspended"), ("resume", "active")):
        finished = start("tenants", command, "acme")
        assert finished.wait(_TIMEOUT) == 0, finished.log_tail()
        with psycopg.connect(database_urls.owner) as connection:
            row = connection.execute("SELECT status FROM tenantry.tenants WHERE slug = 'acme'").fetchone()
        assert row == (status,)


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize(("typed", "code", "left"), [("n", 1, ["acme"]), ("y", 0, [])])
def test_deleting_a_tenant_at_a_terminal_asks_for_confirmation(
    environment: dict[str, str], migrated: Run, typed: str, code: int, left: list[str]
) -> None:
    """IS8: the prompt is not part of the JSON on standard output."""
    migrated("tenants", "create", "acme")
    controller, terminal = os.openpty()
    try:
        os.write(controller, f"{typed}\n".encode())
        prompted = subprocess.run(
            [sys.executable, "-m", "gateway.cli", "tenants", "delete", "acme", "--json"],
            cwd=REPOSITORY,
            env={"PATH": os.defpath, **environment},
            stdin=terminal,
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
    finally:
        os.close(controller)
        os.close(terminal)
    assert prompted.returncode == code, prompted.stderr
    assert json.loads(prompted.stdout).get("deleted", False) is not bool(left)
    assert b"Delete acme (tnt_" in prompted.stderr
    assert [each["slug"] for each in answer(migrated("tenants", "list", "--json"))["data"]] == left


def is_registered(urls: DatabaseUrls) -> bool:
    """A worker that takes jobs is in procrastinate's table of workers."""
    with psycopg.connect(urls.owner) as connection:
        row = connection.execute("SELECT count(*) FROM tenantry.procrastinate_workers").fetchone()
    return row is not None and row[0] > 0
