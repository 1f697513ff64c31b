"""Redis is stopped, killed, paused, restarted and flushed under two workers (two limiters in one event loop)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import quantiles
from time import monotonic
from uuid import UUID, uuid4

import pytest
import redis.asyncio as aioredis

from gateway.throttle.limiter import RequestLimiter
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.stage import ThrottleStage
from tenants.errors import RateLimited
from tenants.principal import Window
from tests.asgi import http_scope, request_context, run_stage
from tests.fixtures.servers import RedisFactory
from tests.integration.throttle.fleet import most_in_any_window
from tests.integration.throttle.load_worker import Plans, principal

pytestmark = pytest.mark.anyio

_PLAN = (Window("burst", 40, 1),)
_ALLOWED = 5.0  # milliseconds of added latency (TH8)


@dataclass(slots=True)
class Workers:
    """Two workers and their admissions."""

    stages: list[ThrottleStage]
    limiters: list[RequestLimiter]
    tenant: UUID = field(default_factory=uuid4)
    admitted: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    refused: int = 0

    async def ask(self, worker: int) -> bool:
        """One request; True when admitted. Any other outcome than admission or refusal is a failure."""
        request = request_context(http_scope())
        request.principal = principal(self.tenant)
        began = monotonic()
        try:
            await run_stage(self.stages[worker], request)
        except RateLimited:
            self.refused += 1
            return False
        finally:
            self.milliseconds.append((monotonic() - began) * 1000)
        self.admitted.append(monotonic())
        return True

    async def load(self, seconds: float, every: float = 0.002) -> int:
        """Both in turn for ``seconds``; how many requests were admitted."""
        before, end, turn = len(self.admitted), monotonic() + seconds, 0
        while monotonic() < end:
            turn += 1
            await self.ask(turn % 2)
            await asyncio.sleep(every)
        return len(self.admitted) - before

    async def until_redis_is_used(self) -> float:
        """Seconds until both workers use Redis again."""
        began = monotonic()
        async with asyncio.timeout(5):
            while not all(limiter._storage.check() for limiter in self.limiters):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
        return monotonic() - began


@asynccontextmanager
async def _workers(url: str, windows: tuple[Window, ...] = _PLAN) -> AsyncIterator[Workers]:
    limiters = [RequestLimiter(ThrottleSettings(url, 2)) for _ in range(2)]
    for limiter in limiters:
        await limiter.start()
    try:
        yield Workers([ThrottleStage(limiter, Plans(windows)) for limiter in limiters], limiters)
    finally:
        for limiter in limiters:
            await limiter.close()


async def test_a_hanging_redis_adds_milliseconds_and_each_worker_enforces_its_share(
    start_redis: RedisFactory,
) -> None:
    """TH8: at most the limit in total, no error, little added latency; and recovery without a restart (OP3)."""
    server = start_redis()
    async with _workers(server.url) as workers:
        await workers.load(0.3)
        server.pause()
        workers.milliseconds.clear()
        assert await workers.load(3.0) >= 40
        assert quantiles(workers.milliseconds, n=100)[94] <= _ALLOWED
        server.resume()
        assert await workers.until_redis_is_used() < 3.0
        await workers.load(1.5)
        assert most_in_any_window(workers.admitted, 1) <= 40


async def test_the_first_request_after_redis_hangs_is_admitted_by_the_share(
    start_redis: RedisFactory,
) -> None:
    """TH8: it waits no longer than the deadline and what a busy machine adds."""
    server = start_redis()
    async with _workers(server.url) as workers:
        assert await workers.ask(0)
        server.pause()
        assert await workers.ask(0)
        assert workers.milliseconds[-1] < 300  # 5 on an idle machine
        assert await workers.ask(0)
        assert workers.milliseconds[-1] < 20


async def test_after_redis_is_killed_each_worker_enforces_its_share_until_it_is_back(
    start_redis: RedisFactory,
) -> None:
    """TH8, TH9, OP3: without an error, and no window around that moment holds more than its quota."""
    server = start_redis()
    async with _workers(server.url) as workers:
        await workers.load(1.2)
        server.kill()
        at_death = monotonic()
        assert 30 <= await workers.load(2.5) <= 120
        assert most_in_any_window(workers.admitted, 1) <= 40
        server.start()
        assert await workers.until_redis_is_used() < 3.0
        await workers.load(2.0)
        assert most_in_any_window(workers.admitted, 1) <= 40
        assert at_death < workers.admitted[-1]


async def test_what_was_spent_without_redis_is_reported_to_it(start_redis: RedisFactory) -> None:
    """TH8: otherwise Redis would grant the whole limit on top of the shares when it is back."""
    server = start_redis()
    plan = (Window("sustained", 60, 60),)
    async with _workers(server.url, plan) as workers:
        server.kill()
        assert await workers.load(0.5) == 60
        server.start()
        await workers.until_redis_is_used()
        assert await workers.load(0.5) == 0


async def test_what_redis_has_granted_is_not_granted_again_without_it(start_redis: RedisFactory) -> None:
    """TH8: the share is a fraction of what remained."""
    server = start_redis()
    plan = (Window("sustained", 60, 60),)
    async with _workers(server.url, plan) as workers:
        assert sum([await workers.ask(number % 2) for number in range(50)]) == 50
        server.kill()
        assert await workers.load(0.5) <= 12


async def test_a_flushed_redis_admits_at_most_one_more_window(start_redis: RedisFactory) -> None:
    """TH9: FLUSHALL under load."""
    server = start_redis()
    async with _workers(server.url) as workers:
        await workers.load(1.3)
        async with aioredis.Redis.from_url(server.url) as client:
            await client.flushall()
        emptied = monotonic()
        await workers.load(2.5)
        assert most_in_any_window(workers.admitted, 1) <= 80
        assert most_in_any_window([each for each in workers.admitted if each > emptied + 0.05], 1) <= 40


async def test_a_redis_that_is_down_at_the_start_is_used_once_it_is_up(
    start_redis: RedisFactory,
) -> None:
    """TH8, OP3: the gateway starts without Redis."""
    server = start_redis()
    server.kill()
    async with _workers(server.url) as workers:
        assert 20 <= await workers.load(0.5) <= 40
        server.start()
        assert await workers.until_redis_is_used() < 3.0
        await workers.load(1.5)
    assert most_in_any_window(workers.admitted, 1) <= 40


async def test_a_flapping_redis_admits_at_most_one_more_window(start_redis: RedisFactory) -> None:
    """TH8, TH9: paused and resumed repeatedly under load."""
    server = start_redis()
    async with _workers(server.url) as workers:
        for pause in (0.02, 0.3, 0.05, 0.6):
            await workers.load(0.4)
            server.pause()
            await workers.load(pause)
            server.resume()
        await workers.load(0.5)
    assert most_in_any_window(workers.admitted, 1) <= 80
