"""Workers are killed while they count: every served request is in PostgreSQL afterwards, once."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import redis

from gateway.development.redis import LocalRedis
from tests.fixtures.databases import DatabaseUrls, copy_database
from tests.fixtures.gateways import SeededTenant, Template, settings_for
from tests.fixtures.usage import stored_counts, stored_uses
from tests.fixtures.workers import Caller, Worker, launch_worker, wait_ready

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

_PATHS = {"/v1/contacts": 2, "/v1/contacts/unknown": 4}
_ROUTES = {2: "/v1/contacts", 4: "/v1/contacts/{id}"}
_KILLS = 2 * int(os.environ.get("TENANTRY_TEST_ROUNDS", "1"))
_FLUSH = 0.25  # seconds: kills should hit every part of a flush
_SOON = 30.0  # seconds
_AT_ONCE = {"stop_notice_seconds": 0}  # there is no load balancer to notify


class Deployment:
    """A database, a usage folder, workers on both, and a caller for each key."""

    def __init__(self, urls: DatabaseUrls, redis_url: str, template: Template, folder: Path, stack: ExitStack) -> None:
        self.urls = urls
        self.usage = folder / "usage"
        self._redis_url = redis_url
        self._folder = folder
        self._stack = stack
        self._started = 0
        self.callers = {_id(urls, tenant, role): Caller(key, _PATHS) for tenant, role, key in _keys(template)}

    def start(self, **changes: object) -> Worker:
        """Start one more worker; waits until it is ready unless settings are changed."""
        given = (
            {"usage_folder": self.usage, "usage_flush_seconds": _FLUSH, "redis_url": self._redis_url}
            | _AT_ONCE
            | changes
        )
        self._started += 1
        worker = launch_worker(settings_for(self.urls, **given), self._folder / f"worker-{self._started}.log")
        self._stack.callback(worker.child.stop)
        if not changes:
            wait_ready(worker)
        return worker

    def files(self) -> list[Path]:
        """The segments in the folder."""
        return sorted(self.usage.glob("*"))

    async def load(self, *ports: int, seconds: float, most: int = 1_000_000) -> None:
        """Send requests of every caller to the workers."""
        until = time.monotonic() + seconds
        callers = enumerate(self.callers.values())
        await asyncio.gather(*(each.call(ports[at % len(ports)], until, most) for at, each in callers))

    def judge(self) -> None:
        """PostgreSQL has every served request, and each request cut off by a kill entirely or not at all."""
        found = stored_counts(self.urls.superuser)
        assert set(found) <= {(who, route, kind) for who in self.callers for kind, route in _ROUTES.items()}
        for who, caller in self.callers.items():
            assert caller.surprises == []
            for kind, route in _ROUTES.items():
                count = found.get((who, route, kind))
                requests = count.requests if count else 0
                least = caller.answered[kind]
                assert least <= requests <= least + caller.unanswered[kind], (route, least, requests)
                assert count is None or count.cost == count.requests
        uses: Counter[str] = Counter()
        for (who, _, _), count in found.items():
            uses[who] += count.requests
        assert stored_uses(self.urls.superuser) == uses, "the keys' own counts are those of the usage"

    @property
    def answered(self) -> int:
        return sum(caller.answered.total() for caller in self.callers.values())

    @property
    def unanswered(self) -> int:
        return sum(caller.unanswered.total() for caller in self.callers.values())


def _keys(template: Template) -> Iterator[tuple[SeededTenant, str, str]]:
    for tenant in (template.acme, template.globex):
        for role, key in tenant.keys.items():
            yield tenant, role, key


def _id(urls: DatabaseUrls, tenant: SeededTenant, role: str) -> str:
    query = "SELECT replace(id::text, '-', '') FROM tenantry.api_keys WHERE tenant_id = %s AND name = %s"
    with psycopg.connect(urls.superuser) as connection:
        ((found,),) = connection.execute(query, (tenant.ref.id, f"the {role} key")).fetchall()
        return str(found)


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(_SOON):
        while not true():  # noqa: ASYNC110 - another process has no event to wait for
            await asyncio.sleep(0.05)


@pytest.fixture
def deployment(gateway_template: Template, redis_server: LocalRedis, tmp_path: Path) -> Iterator[Deployment]:
    with ExitStack() as stack, redis.Redis.from_url(redis_server.url) as counters:
        counters.flushdb()
        urls = copy_database(gateway_template.urls, stack)
        with ExitStack() as workers:
            yield Deployment(urls, redis_server.url, gateway_template, tmp_path, workers)


async def test_a_worker_killed_repeatedly_under_load_loses_no_served_request(deployment: Deployment) -> None:
    """OP2: each caller has at most one request in flight, so a kill leaves at most one uncertain."""
    for round_ in range(_KILLS):
        worker = deployment.start()
        load = asyncio.create_task(deployment.load(worker.port, seconds=60))
        await asyncio.sleep(0.6 + 0.17 * round_)
        worker.child.kill()
        await load
    assert deployment.answered > 100
    assert deployment.unanswered > 0  # the kills did interrupt requests
    last = deployment.start()
    await _until(lambda: len(deployment.files()) <= 1)  # its own next segment
    assert last.child.stop() == -signal.SIGTERM  # uvicorn ends by the signal that it received
    assert deployment.files() == []
    deployment.judge()


async def test_a_worker_killed_after_its_last_response_has_counted_exactly_what_it_served(
    deployment: Deployment,
) -> None:
    """OP1, OP2: without requests in flight the counts are equal. One that is stopped leaves nothing for the next."""
    worker = deployment.start()
    await deployment.load(worker.port, seconds=60, most=40)
    worker.child.kill()
    assert deployment.unanswered == 0
    last = deployment.start()
    await _until(lambda: len(deployment.files()) <= 1)
    await deployment.load(last.port, seconds=60, most=10)
    assert last.child.stop() == -signal.SIGTERM
    assert deployment.files() == []
    assert sum(count.requests for count in stored_counts(deployment.urls.superuser).values()) == deployment.answered
    deployment.judge()


async def test_a_living_worker_flushes_the_journal_of_a_killed_one(deployment: Deployment) -> None:
    """Two workers on one folder, one of them killed: the other finds its journal without a restart."""
    first, second = deployment.start(), deployment.start()
    load = asyncio.create_task(deployment.load(first.port, second.port, seconds=3))
    await asyncio.sleep(1)
    first.child.kill()
    await load
    await _until(lambda: len(deployment.files()) <= 1)  # only its own next segment is left
    second.child.stop()  # which flushes its counts
    assert deployment.files() == []
    deployment.judge()


async def test_a_worker_with_an_unusable_usage_folder_does_not_start_and_says_why(deployment: Deployment) -> None:
    """A worker that cannot count must not serve."""
    (deployment.usage.parent / "in-the-way").write_text("a file")
    worker = deployment.start(usage_folder=deployment.usage.parent / "in-the-way" / "usage")
    assert worker.child.wait(_SOON) not in {None, 0}
    assert "TENANTRY_USAGE_FOLDER" in worker.child.log_tail(200)
