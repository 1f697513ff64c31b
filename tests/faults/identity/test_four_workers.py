"""Changes that four serving worker processes must apply (ID4)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, LiteralString

import httpx
import psycopg
import pytest
import redis

from gateway.development.redis import LocalRedis
from tests.fixtures.databases import DatabaseUrls, copy_database
from tests.fixtures.gateways import PASSWORD, Template, settings_for
from tests.fixtures.workers import Caller, Worker, launch_worker, wait_ready

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

_WORKERS = 4
_LONGEST = 1.0  # seconds until every worker applies a change (ID4)
_ROUNDS = 3
_KEY: LiteralString = "UPDATE tenantry.api_keys SET revoked_at = %s::timestamptz WHERE name = 'the viewer key'"
_USER: LiteralString = "UPDATE tenantry.users SET disabled_at = %s::timestamptz WHERE email = %s"
_ROLE: LiteralString = (
    "UPDATE tenantry.memberships SET roles = ARRAY[%s] WHERE user_id = (SELECT id FROM tenantry.users WHERE email = %s)"
)
_PLAN: LiteralString = "UPDATE tenantry.tenants SET plan_code = %s WHERE slug = 'acme'"
_WINDOW: LiteralString = (
    "UPDATE tenantry.plans SET windows = jsonb_set(windows, '{0,quota}', to_jsonb(%s::int)) WHERE code = 'scale'"
)
_STATUS: LiteralString = "UPDATE tenantry.tenants SET status = %s WHERE slug = 'acme'"
_CHARGED = "/v1/contacts"  # to the plan

Shows = Callable[[httpx.Response], bool]


@dataclass(frozen=True, slots=True)
class Fleet:
    """Workers over one database, and their callers."""

    urls: DatabaseUrls
    workers: list[Worker]
    template: Template

    async def changes(
        self, headers: dict[str, str], statement: LiteralString, values: list[Any], shows: Shows, path: str = "/v1/me"
    ) -> None:
        """Make the change; every worker's response must show it in time."""
        async with httpx.AsyncClient() as client, asyncio.TaskGroup() as group:
            before = await asyncio.gather(*(self._ask(client, each, path, headers) for each in self.workers))
            assert not any(shows(answer) for answer in before), [answer.text for answer in before]
            with psycopg.connect(self.urls.superuser) as connection:
                connection.execute(statement, values)
            until = time.monotonic() + _LONGEST
            for worker in self.workers:
                group.create_task(_until(partial(self._ask, client, worker, path, headers), shows, until))

    async def _ask(
        self, client: httpx.AsyncClient, worker: Worker, path: str, headers: dict[str, str]
    ) -> httpx.Response:
        return await client.get(f"http://127.0.0.1:{worker.port}{path}", headers=headers)

    async def signed_in(self) -> dict[str, str]:
        """Headers of a user of acme."""
        sent = {"email": self.template.acme.emails["admin"], "password": PASSWORD, "tenant": "acme"}
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"http://127.0.0.1:{self.workers[0].port}/v1/auth/login", json=sent)
        return {"Authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}


async def _until(ask: Callable[[], Awaitable[httpx.Response]], shows: Shows, until: float) -> None:
    while not shows(await ask()):
        assert time.monotonic() < until, "a worker still believes what was"
        await asyncio.sleep(0.005)


@pytest.fixture
def fleet(gateway_template: Template, redis_server: LocalRedis, tmp_path: Path) -> Iterator[Fleet]:
    with ExitStack() as stack, redis.Redis.from_url(redis_server.url) as counters:
        counters.flushdb()
        urls = copy_database(gateway_template.urls, stack)
        workers = []
        for number in range(_WORKERS):
            folder = tmp_path / f"usage-{number}"
            settings = settings_for(urls, redis_url=redis_server.url, usage_folder=folder, workers=_WORKERS)
            worker = launch_worker(settings, tmp_path / f"worker-{number}.log")
            stack.callback(worker.child.stop)
            workers.append(worker)
        for worker in workers:
            wait_ready(worker)
        yield Fleet(urls, workers, gateway_template)


async def test_every_serving_worker_applies_every_kind_of_change(fleet: Fleet) -> None:
    """ID4, TH7: keys, users, roles, plans and tenants, while another tenant keeps all workers busy."""
    acme, caller = fleet.template.acme, Caller(fleet.template.globex.keys["member"], {"/v1/me": 2})
    until = time.monotonic() + 60
    load = asyncio.gather(*(caller.call(worker.port, until) for worker in fleet.workers))
    viewer, person, email = acme.key("viewer"), await fleet.signed_in(), acme.emails["admin"]
    for _ in range(_ROUNDS):
        await fleet.changes(viewer, _KEY, ["2026-01-01"], _status(401))
        await fleet.changes(viewer, _KEY, [None], _status(200))
        await fleet.changes(person, _USER, ["2026-01-01", email], _status(401))
        await fleet.changes(person, _USER, [None, email], _status(200))
        await fleet.changes(person, _ROLE, ["viewer", email], _roles("viewer"))
        await fleet.changes(person, _ROLE, ["admin", email], _roles("admin"))
        await fleet.changes(viewer, _PLAN, ["pro"], _burst(100), _CHARGED)
        await fleet.changes(viewer, _PLAN, ["scale"], _burst(1_000), _CHARGED)
        await fleet.changes(viewer, _WINDOW, [5_000], _burst(5_000), _CHARGED)
        await fleet.changes(viewer, _WINDOW, [1_000], _burst(1_000), _CHARGED)
        await fleet.changes(viewer, _STATUS, ["suspended"], _status(403))
        await fleet.changes(viewer, _STATUS, ["active"], _status(200))
    load.cancel()
    assert caller.answered[2] > 0
    assert caller.surprises == []


def _status(status: int) -> Shows:
    return lambda answer: answer.status_code == status


def _roles(role: str) -> Shows:
    return lambda answer: bool(answer.json()["principal"]["roles"] == [role])


def _burst(quota: int) -> Shows:
    """Also sent with refusals."""
    return lambda answer: f'"burst";q={quota};' in answer.headers["ratelimit-policy"]
