"""Changes that four serving worker processes must apply (ID4), and are answered when all of them do (ID14)."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, LiteralString

import httpx
import psycopg
import pytest
import redis

from gateway.development.redis import LocalRedis
from tenants.database.confirmations import BOUND
from tenants.identifiers import TENANT, show
from tests.fixtures.databases import DatabaseUrls, copy_database
from tests.fixtures.gateways import PASSWORD, Template, settings_for
from tests.fixtures.workers import Caller, Prober, Worker, launch_worker, wait_ready

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

_NEW_KEY = {"name": "short-lived", "role": "viewer"}
_LATER = 3  # requests that each worker answers after the change
_ANSWERED_ROUNDS = 12  # of each kind of change

Shows = Callable[[httpx.Response], bool]
Change = Callable[[], Awaitable[Any]]


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=10, verify=False)  # noqa: S501 - plain HTTP; certificates take 30 ms to load


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
        async with _client() as client, asyncio.TaskGroup() as group:
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

    async def signed_in(self, role: str = "admin") -> dict[str, str]:
        """Headers of a user of acme."""
        grant = await self.grant(role)
        return {"Authorization": f"Bearer {grant['access_token']}"}

    async def grant(self, role: str) -> dict[str, Any]:
        """The tokens of a user of acme."""
        sent = {"email": self.template.acme.emails[role], "password": PASSWORD, "tenant": "acme"}
        async with _client() as client:
            answer = await client.post(f"http://127.0.0.1:{self.workers[0].port}/v1/auth/login", json=sent)
        tokens: dict[str, Any] = answer.raise_for_status().json()
        return tokens

    async def send(self, worker: int, method: str, path: str, headers: dict[str, str], body: Any = None) -> Any:
        """The body of the answer of one worker, which is a success."""
        async with _client() as client:
            url = f"http://127.0.0.1:{self.workers[worker].port}{path}"
            answer = await client.request(method, url, headers=headers, json=body)
        return answer.raise_for_status().json() if answer.content else None

    async def status(self, worker: int, headers: dict[str, str]) -> int:
        """Of one worker's answer to this credential."""
        async with _client() as client:
            return (await self._ask(client, self.workers[worker], "/v1/me", headers)).status_code

    async def new_key(self, workers: Iterable[int] = range(_WORKERS)) -> tuple[str, dict[str, str]]:
        """Id of a new key of acme, and its headers. It is warm in these workers."""
        made = await self.send(0, "POST", "/v1/api-keys", self.template.acme.key("admin"), _NEW_KEY)
        headers = {"X-API-Key": made["secret"]}
        assert [await self.status(each, headers) for each in workers] == [200 for _ in workers]
        return made["id"], headers

    @property
    def tenant(self) -> str:
        """The id of acme."""
        return show(TENANT, self.template.acme.ref.id)

    @property
    def operator(self) -> dict[str, str]:
        """Headers of an operator."""
        return {"X-API-Key": self.template.operator_key}

    async def admitted_after(self, headers: dict[str, str], change: Change) -> tuple[int, float]:
        """Requests that began after the answer to the change and were served, by all workers; seconds of the change."""
        probers = [Prober(worker.port, headers) for worker in self.workers]
        async with asyncio.TaskGroup() as group:
            for prober in probers:
                group.create_task(prober.run())
            while not all(prober.answers for prober in probers):  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.001)
            began = time.monotonic()
            await change()
            answered = time.monotonic()
            while not all(prober.answers[-_LATER:][0][0] > answered for prober in probers):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            for prober in probers:
                prober.stop()
        assert any(status < 400 for prober in probers for _, status in prober.answers)
        return sum(prober.admitted_after(answered) for prober in probers), answered - began


async def _until(ask: Callable[[], Awaitable[httpx.Response]], shows: Shows, until: float) -> None:
    while not shows(await ask()):
        assert time.monotonic() < until, "a worker still believes what was"
        await asyncio.sleep(0.005)


@pytest.fixture(scope="module")
def fleet(
    gateway_template: Template, redis_server: LocalRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    tmp_path = tmp_path_factory.mktemp("workers")
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


async def test_no_request_that_begins_after_the_answer_is_admitted(fleet: Fleet) -> None:
    """ID14: keys revoked and rotated, sessions ended, a tenant suspended, by each worker in turn; all are saturated."""
    admin, admitted, longest = fleet.template.acme.key("admin"), Counter[str](), 0.0
    for number in range(_ANSWERED_ROUNDS):
        send = partial(fleet.send, number % _WORKERS, "POST")
        for kind in ("revoke", "rotate", "logout", "suspend"):
            headers, change = await _round(fleet, kind, send, admin)
            count, seconds = await fleet.admitted_after(headers, change)
            admitted[kind], longest = admitted[kind] + count, max(longest, seconds)
        await send(f"/operator/v1/tenants/{fleet.tenant}/resume", fleet.operator)
    assert admitted == Counter(revoke=0, rotate=0, logout=0, suspend=0)
    assert longest < BOUND, "answered by the workers, not by the bound"


async def _round(
    fleet: Fleet, kind: str, send: Callable[..., Awaitable[Any]], admin: dict[str, str]
) -> tuple[dict[str, str], Change]:
    """The credential, and what takes its rights away."""
    if kind == "logout":
        tokens = await fleet.grant("member")
        person = {"Authorization": f"Bearer {tokens['access_token']}"}
        return person, partial(send, "/v1/auth/logout", {}, {"refresh_token": tokens["refresh_token"]})
    if kind == "suspend":
        return fleet.template.acme.key("viewer"), partial(
            send, f"/operator/v1/tenants/{fleet.tenant}/suspend", fleet.operator
        )
    key, headers = await fleet.new_key()
    return headers, partial(send, f"/v1/api-keys/{key}/{kind}", admin)


async def test_a_stopped_worker_makes_the_answer_wait_and_refuses_what_it_had_cached(fleet: Fleet) -> None:
    """ID14: SIGSTOP while a key is revoked; the request that waits for SIGCONT is refused. Later changes are quick."""
    key, headers = await fleet.new_key()
    stopped = fleet.workers[3]
    stopped.child.pause()
    try:
        began = time.monotonic()
        await fleet.send(0, "POST", f"/v1/api-keys/{key}/revoke", fleet.template.acme.key("admin"))
        assert BOUND - 0.1 <= time.monotonic() - began < 2.2
        waiting = asyncio.create_task(fleet.status(3, headers))
        key, other = await fleet.new_key(range(3))
        began = time.monotonic()
        await fleet.send(1, "POST", f"/v1/api-keys/{key}/revoke", fleet.template.acme.key("admin"))
        assert time.monotonic() - began < 1
    finally:
        stopped.child.resume()
    assert await waiting == 401
    assert [await fleet.status(each, other) for each in range(_WORKERS)] == [401] * _WORKERS


async def test_a_killed_worker_makes_one_answer_wait(fleet: Fleet) -> None:
    """ID14: kill -9; it has no time to remove its row. The last test of this module: nothing restarts the worker."""
    fleet.workers[3].child.kill()
    seconds = []
    for _ in range(3):
        key, headers = await fleet.new_key(range(3))
        began = time.monotonic()
        await fleet.send(1, "POST", f"/v1/api-keys/{key}/revoke", fleet.template.acme.key("admin"))
        seconds.append(time.monotonic() - began)
        assert [await fleet.status(each, headers) for each in range(3)] == [401] * 3
    assert BOUND - 0.1 <= seconds[0] < 2.2
    assert max(seconds[1:]) < 1
