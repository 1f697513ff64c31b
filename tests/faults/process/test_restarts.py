"""Worker processes that are replaced, told to stop and killed, while visitors never stop asking."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from gateway.development.processes import Child, children_of
from gateway.development.redis import LocalRedis
from tests.fixtures.databases import copy_database
from tests.fixtures.deployment import Deployment
from tests.fixtures.gateways import Template, settings_for
from tests.fixtures.visitors import Visits

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

_WORKERS = 2
_NOTICE = 1.0  # seconds
_SOON = 90.0  # seconds, on a machine that does much else
_SOME = 60  # answers after which visitors have been everywhere


@dataclass(frozen=True, slots=True)
class Served:
    """``tenantry serve`` with two workers, and a key for it."""

    manager: Child
    url: str
    headers: dict[str, str]

    @property
    def workers(self) -> set[int]:
        """The processes that serve, or are about to."""
        return {pid for pid in children_of(self.manager.pid) if b"spawn_main" in _command(pid)}

    def client(self) -> httpx.AsyncClient:
        """Patient: while workers start, connections wait for one."""
        return httpx.AsyncClient(trust_env=False, base_url=self.url, timeout=_SOON)

    async def metrics(self) -> dict[str, float]:
        """The values of metrics without labels, and the sums of those with some, over all workers."""
        async with self.client() as client:
            page = (await client.get("/metrics")).text
        families = text_string_to_metric_families(page)
        return {each.name: sum(sample.value for sample in each.samples) for each in families}

    @asynccontextmanager
    async def visited(self) -> AsyncIterator[Visits]:
        """Visitors, while all of this goes on and until they have been everywhere afterwards."""
        visits = Visits(int(self.url.rpartition(":")[2]), self.headers)
        visits.start()
        try:
            await visits.more(_SOME)
            yield visits
            await visits.more(_SOME)
        finally:
            await visits.stop()

    async def settled(self, *, without: set[int]) -> None:
        """Return when as many workers serve as should, and none of these is among them."""

        async def settled() -> bool:
            there = self.workers
            as_many = len(there) == _WORKERS and not there & without
            return as_many and (await self.metrics())["tenantry_workers"] == _WORKERS

        await _until(settled)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


async def _until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_SOON):
        while not await true():  # noqa: ASYNC110 - what other processes do has no event here
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def served(
    gateway_template: Template, redis_server: LocalRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """One for all of these tests: each leaves it with as many workers as it had."""
    with ExitStack() as stack, redis.Redis.from_url(redis_server.url) as counters:
        counters.flushdb()
        folder = tmp_path_factory.mktemp("serving")
        urls = copy_database(gateway_template.urls, stack)
        given = {"redis_url": redis_server.url, "usage_folder": folder / "usage", "stop_notice_seconds": _NOTICE}
        deployment = Deployment(folder)
        with deployment.stack:
            manager, url = deployment.gateway(settings_for(urls, **given), workers=_WORKERS)
            yield Served(manager, url, gateway_template.acme.key())


async def test_workers_are_replaced_one_after_another_without_a_failed_request(served: Served) -> None:
    """OP1: neither on connections that stay, each of which is told by its last answer, nor on new ones."""
    await served.settled(without=set())
    before = served.workers
    async with served.visited() as visits:
        os.kill(served.manager.pid, signal.SIGHUP)
        await served.settled(without=before)
    assert visits.unanswered == []
    assert (visits.refused, visits.reopened) == (0, 0)
    assert set(visits.statuses) == {200}


async def test_a_worker_that_is_told_to_stop_fails_no_request_and_is_replaced(served: Served) -> None:
    """OP1."""
    await served.settled(without=set())
    told = min(served.workers)
    async with served.visited() as visits:
        os.kill(told, signal.SIGTERM)
        await served.settled(without={told})
    assert visits.unanswered == []
    assert (visits.refused, visits.reopened) == (0, 0)
    assert set(visits.statuses) == {200}


async def test_a_killed_worker_costs_what_it_had_in_hand_and_is_replaced_while_the_others_go_on(
    served: Served,
) -> None:
    """OP2: and what it counted is not lost to the metrics."""
    await served.settled(without=set())
    killed = min(served.workers)
    async with served.visited() as visits:
        await asyncio.sleep(1.1)  # what is counted is written once a second
        before = await served.metrics()
        os.kill(killed, signal.SIGKILL)
        await served.settled(without={killed})
        after = await served.metrics()
    assert len(visits.unanswered) <= visits.visitors  # each has one request in hand
    assert visits.refused == 0
    assert set(visits.statuses) == {200}
    for counter in ("tenantry_requests", "tenantry_throttle_tokens", "process_cpu_seconds"):
        assert after[counter] >= before[counter]
    assert after["tenantry_requests_in_flight"] <= visits.visitors + 1


async def test_a_worker_that_hangs_holds_up_neither_the_others_nor_a_stop(served: Served) -> None:
    """OP1: the last of these tests: not ready while it still serves, then the end, in bounded time."""
    await served.settled(without=set())
    hanging, _ = sorted(served.workers)
    os.kill(hanging, signal.SIGSTOP)
    try:
        async with served.client() as client:

            async def answers(status: int) -> bool:
                return (await client.get("/readyz")).status_code == status

            await _until(lambda: answers(httpx.codes.OK))
            served.manager.ask_to_stop()
            began = time.monotonic()
            await _until(lambda: answers(httpx.codes.SERVICE_UNAVAILABLE))
            assert (await client.get("/v1/me", headers=served.headers)).status_code == httpx.codes.OK
    finally:
        os.kill(hanging, signal.SIGCONT)
    assert await asyncio.to_thread(served.manager.wait, _SOON) == 0
    assert time.monotonic() - began >= _NOTICE
