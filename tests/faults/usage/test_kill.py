"""Workers are killed while they count: what was answered is in PostgreSQL afterwards, each request once."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import redis

from gateway.development.redis import LocalRedis
from tests.fixtures.databases import DatabaseUrls, copy_database
from tests.fixtures.gateways import SeededTenant, Template, settings_for
from tests.fixtures.usage import rolled_up
from tests.fixtures.workers import Caller, Worker, launch_worker, wait_ready

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

_PATHS = {"/v1/me": 2, "/v1/contacts/unknown": 4}
_ROUTES = {2: "/v1/me", 4: "/v1/contacts/{id}"}
_FLUSH = 0.25  # seconds: kills are to hit every part of a roll-up
_SOON = 30.0  # seconds
_AT_ONCE = {"stop_notice_seconds": 0}  # there is no load balancer to be told


class Stand:
    """A database, a usage folder, workers on both, and a caller for each key that there is."""

    def __init__(self, urls: DatabaseUrls, redis_url: str, template: Template, folder: Path, stack: ExitStack) -> None:
        self.urls = urls
        self.usage = folder / "usage"
        self._redis_url = redis_url
        self._folder = folder
        self._stack = stack
        self._started = 0
        self.callers = {_id(urls, tenant, role): Caller(key, _PATHS) for tenant, role, key in _keys(template)}

    def start(self, **changes: object) -> Worker:
        """One more worker; ready unless the settings are changed."""
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
        """Segments that are left in the folder."""
        return sorted(self.usage.glob("*"))

    async def load(self, *ports: int, seconds: float, most: int = 1_000_000) -> None:
        """Every caller calls one of the workers."""
        until = time.monotonic() + seconds
        callers = enumerate(self.callers.values())
        await asyncio.gather(*(each.call(ports[at % len(ports)], until, most) for at, each in callers))

    def judge(self) -> None:
        """What PostgreSQL has is what was answered, and of the requests that a kill cut off either nothing or all."""
        found = rolled_up(self.urls.superuser)
        assert set(found) <= {(who, route, kind) for who in self.callers for kind, route in _ROUTES.items()}
        for who, caller in self.callers.items():
            assert caller.surprises == []
            for kind, route in _ROUTES.items():
                count = found.get((who, route, kind))
                requests = count.requests if count else 0
                least = caller.answered[kind]
                assert least <= requests <= least + caller.unanswered[kind], (route, least, requests)
                assert count is None or count.cost == count.requests

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
        while not true():  # noqa: ASYNC110 - what another process does has no event here
            await asyncio.sleep(0.05)


@pytest.fixture
def stand(gateway_template: Template, redis_server: LocalRedis, tmp_path: Path) -> Iterator[Stand]:
    with ExitStack() as stack, redis.Redis.from_url(redis_server.url) as counters:
        counters.flushdb()
        urls = copy_database(gateway_template.urls, stack)
        with ExitStack() as workers:
            yield Stand(urls, redis_server.url, gateway_template, tmp_path, workers)


async def test_a_worker_killed_under_load_again_and_again_loses_no_answered_request(stand: Stand) -> None:
    """OP2: each caller has at most one request in flight, so a kill leaves at most one uncertain."""
    for round_ in range(3):
        worker = stand.start()
        load = asyncio.create_task(stand.load(worker.port, seconds=60))
        await asyncio.sleep(0.6 + 0.17 * round_)
        worker.child.kill()
        await load
    assert stand.answered > 100
    assert stand.unanswered > 0  # the kills did come amidst requests
    last = stand.start()
    await _until(lambda: len(stand.files()) <= 1)  # its own next segment
    assert last.child.stop() == -signal.SIGTERM  # uvicorn ends by the signal that it was sent
    assert stand.files() == []
    stand.judge()


async def test_a_worker_killed_after_its_last_answer_has_counted_exactly_what_was_answered(stand: Stand) -> None:
    """With nothing in hand there is no doubt: equal, not about equal."""
    worker = stand.start()
    await stand.load(worker.port, seconds=60, most=40)
    worker.child.kill()
    assert stand.unanswered == 0
    last = stand.start()
    await _until(lambda: len(stand.files()) <= 1)
    last.child.stop()
    assert sum(count.requests for count in rolled_up(stand.urls.superuser).values()) == stand.answered
    stand.judge()


async def test_a_living_worker_rolls_up_what_its_killed_neighbour_counted(stand: Stand) -> None:
    """Two workers on one folder, one of them killed: the other finds the journal without being started again."""
    first, second = stand.start(), stand.start()
    load = asyncio.create_task(stand.load(first.port, second.port, seconds=3))
    await asyncio.sleep(1)
    first.child.kill()
    await load
    await _until(lambda: len(stand.files()) <= 1)  # the neighbour's is gone, its own next segment stays
    second.child.stop()  # which rolls up what it counted since
    assert stand.files() == []
    stand.judge()


async def test_a_worker_that_is_told_to_stop_rolls_up_all_of_it(stand: Stand) -> None:
    """OP1: nothing waits for the next start."""
    worker = stand.start()
    await stand.load(worker.port, seconds=60, most=10)
    assert worker.child.stop() == -signal.SIGTERM
    assert stand.files() == []
    assert sum(count.requests for count in rolled_up(stand.urls.superuser).values()) == stand.answered


async def test_a_worker_whose_usage_folder_cannot_be_written_does_not_start_and_says_why(stand: Stand) -> None:
    """What cannot count must not serve."""
    (stand.usage.parent / "in-the-way").write_text("a file")
    worker = stand.start(usage_folder=stand.usage.parent / "in-the-way" / "usage")
    assert worker.child.wait(_SOON) not in {None, 0}
    assert "TENANTRY_USAGE_FOLDER" in worker.child.log_tail(200)
