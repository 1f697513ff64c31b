"""Rolling restarts, stops and kills of worker processes under continuous load."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from gateway.development.processes import Child, children_of
from gateway.development.redis import LocalRedis
from tests.fixtures.clients import ContinuousClients
from tests.fixtures.databases import copy_database
from tests.fixtures.deployment import Deployment
from tests.fixtures.gateways import Template, settings_for

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

_WORKERS = 2
_NOTICE = 1.0  # seconds
_TIMEOUT = 90.0  # seconds, for a loaded machine
_COVERAGE = 60  # responses after which the clients have reached every worker


@dataclass(frozen=True, slots=True)
class RunningServer:
    """``tenantry serve`` with two workers, and an API key."""

    manager: Child
    url: str
    headers: dict[str, str]

    @property
    def workers(self) -> set[int]:
        """The worker processes, ready or starting."""
        return {pid for pid in children_of(self.manager.pid) if b"spawn_main" in _command(pid)}

    def client(self) -> httpx.AsyncClient:
        """With a long timeout: while workers start, connections wait in the backlog."""
        options: dict[str, Any] = {"base_url": self.url, "timeout": _TIMEOUT}
        return httpx.AsyncClient(trust_env=False, verify=False, **options)  # noqa: S501 - plain HTTP; certificates take 30 ms to load

    async def metrics(self) -> dict[str, float]:
        """Metrics over all workers, summed over their labels."""
        async with self.client() as client:
            page = (await client.get("/metrics")).text
        families = text_string_to_metric_families(page)
        return {each.name: sum(sample.value for sample in each.samples) for each in families}

    @asynccontextmanager
    async def under_load(self) -> AsyncIterator[ContinuousClients]:
        """Continuous load before, during and after the block."""
        clients = ContinuousClients(int(self.url.rpartition(":")[2]), self.headers)
        clients.start()
        try:
            await clients.wait_for_responses(_COVERAGE)
            yield clients
            await clients.wait_for_responses(_COVERAGE)
        finally:
            await clients.stop()

    async def wait_until_complete(self, *, without: set[int]) -> None:
        """Return when all workers are ready and none of these is left."""

        async def complete() -> bool:
            workers = self.workers
            replaced = len(workers) == _WORKERS and not workers & without
            return replaced and (await self.metrics())["tenantry_workers"] == _WORKERS

        await _until(complete)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has exited
        return b""


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_TIMEOUT):
        while not await condition():  # noqa: ASYNC110 - the state of other processes has no event
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def server(
    gateway_template: Template, redis_server: LocalRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """One server for all tests of this module: each leaves it with two workers."""
    with ExitStack() as stack, redis.Redis.from_url(redis_server.url) as counters:
        counters.flushdb()
        folder = tmp_path_factory.mktemp("server")
        urls = copy_database(gateway_template.urls, stack)
        values = {"redis_url": redis_server.url, "usage_folder": folder / "usage", "stop_notice_seconds": _NOTICE}
        deployment = Deployment(folder)
        with deployment.stack:
            manager, url = deployment.gateway(settings_for(urls, **values), workers=_WORKERS)
            yield RunningServer(manager, url, gateway_template.acme.key())


async def test_a_rolling_restart_fails_no_request(server: RunningServer) -> None:
    """OP1: neither on persistent connections, which get Connection: close, nor on new ones."""
    await server.wait_until_complete(without=set())
    before = server.workers
    async with server.under_load() as clients:
        os.kill(server.manager.pid, signal.SIGHUP)
        await server.wait_until_complete(without=before)
    assert clients.failures == []
    assert (clients.refused, clients.reconnects) == (0, 0)
    assert set(clients.statuses) == {200}


async def test_a_stopped_worker_fails_no_request_and_is_replaced(server: RunningServer) -> None:
    """OP1."""
    await server.wait_until_complete(without=set())
    stopped = min(server.workers)
    async with server.under_load() as clients:
        os.kill(stopped, signal.SIGTERM)
        await server.wait_until_complete(without={stopped})
    assert clients.failures == []
    assert (clients.refused, clients.reconnects) == (0, 0)
    assert set(clients.statuses) == {200}


async def test_a_killed_worker_fails_only_its_running_requests_and_is_replaced(
    server: RunningServer,
) -> None:
    """OP2: its metrics are kept."""
    await server.wait_until_complete(without=set())
    killed = min(server.workers)
    async with server.under_load() as clients:
        await asyncio.sleep(1.1)  # metrics are written once a second
        before = await server.metrics()
        os.kill(killed, signal.SIGKILL)
        await server.wait_until_complete(without={killed})
        after = await server.metrics()
    assert len(clients.failures) <= clients.clients  # each has one running request
    assert clients.refused == 0
    assert set(clients.statuses) == {200}
    for counter in ("tenantry_requests", "tenantry_throttle_tokens", "process_cpu_seconds"):
        assert after[counter] >= before[counter]
    assert after["tenantry_requests_in_flight"] <= clients.clients + 1


async def test_a_hung_worker_delays_neither_the_others_nor_a_stop(server: RunningServer) -> None:
    """OP1: not ready while still serving, then stopped in bounded time. Stops the server: the last test here."""
    await server.wait_until_complete(without=set())
    hung, _ = sorted(server.workers)
    os.kill(hung, signal.SIGSTOP)
    try:
        async with server.client() as client:

            async def ready_status(status: int) -> bool:
                return (await client.get("/readyz")).status_code == status

            await _until(lambda: ready_status(httpx.codes.OK))
            server.manager.ask_to_stop()
            started = time.monotonic()
            await _until(lambda: ready_status(httpx.codes.SERVICE_UNAVAILABLE))
            assert (await client.get("/v1/me", headers=server.headers)).status_code == httpx.codes.OK
    finally:
        os.kill(hung, signal.SIGCONT)
    assert await asyncio.to_thread(server.manager.wait, _TIMEOUT) == 0
    assert time.monotonic() - started >= _NOTICE
