"""Redis stopped, killed, hanging, restarted and emptied, while two workers (two limiters in one loop) are asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import quantiles
from time import monotonic
from uuid import UUID, uuid4

import pytest
import redis.asyncio as aioredis

from gateway.throttle.errors import RateLimited
from gateway.throttle.limiter import PlanLimiter
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.stage import ThrottleStage
from tenants.principal import Window
from tests.asgi import http_scope, request_context, run_stage
from tests.fixtures.servers import RedisFactory
from tests.integration.throttle.hammer import Plans, principal
from tests.integration.throttle.loads import most_in_any_window

pytestmark = pytest.mark.anyio

_PLAN = (Window("burst", 40, 1),)
_ALLOWED = 5.0  # milliseconds that may be added (TH8)


@dataclass(slots=True)
class Workers:
    """Two workers and what they admitted."""

    stages: list[ThrottleStage]
    limiters: list[PlanLimiter]
    tenant: UUID = field(default_factory=uuid4)
    admitted: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    refused: int = 0

    async def ask(self, worker: int) -> bool:
        """One request; anything but an admission and a refusal is an error of the test."""
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
        """Both in turn, for a while; how many were admitted."""
        before, end, turn = len(self.admitted), monotonic() + seconds, 0
        while monotonic() < end:
            turn += 1
            await self.ask(turn % 2)
            await asyncio.sleep(every)
        return len(self.admitted) - before

    async def until_redis_decides(self) -> float:
        """Seconds until both workers ask Redis again."""
        began = monotonic()
        async with asyncio.timeout(5):
            while not all(limiter._storage.check() for limiter in self.limiters):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
        return monotonic() - began


@asynccontextmanager
async def _workers(url: str, windows: tuple[Window, ...] = _PLAN) -> AsyncIterator[Workers]:
    limiters = [PlanLimiter(ThrottleSettings(url, 2)) for _ in range(2)]
    for limiter in limiters:
        await limiter.start()
    try:
        yield Workers([ThrottleStage(limiter, Plans(windows)) for limiter in limiters], limiters)
    finally:
        for limiter in limiters:
            await limiter.close()


async def test_a_redis_that_hangs_costs_milliseconds_and_leaves_each_its_share(
    start_redis: RedisFactory,
) -> None:
    """TH8: total at most the limit, no error, next to nothing added; and back without a restart (OP3)."""
    server = start_redis()
    async with _workers(server.url) as workers:
        await workers.load(0.3)
        server.pause()
        workers.milliseconds.clear()
        assert await workers.load(3.0) >= 40
        assert quantiles(workers.milliseconds, n=100)[94] <= _ALLOWED
        server.resume()
        assert await workers.until_redis_decides() < 3.0
        await workers.load(1.5)
        assert most_in_any_window(workers.admitted, 1) <= 40


async def test_the_first_request_after_redis_hangs_is_answered_from_the_share(
    start_redis: RedisFactory,
) -> None:
    """TH8: it is admitted, and waits no longer than the deadline and what a busy machine adds."""
    server = start_redis()
    async with _workers(server.url) as workers:
        assert await workers.ask(0)
        server.pause()
        assert await workers.ask(0)
        assert workers.milliseconds[-1] < 300  # 5 on a machine with nothing else to do
        assert await workers.ask(0)
        assert workers.milliseconds[-1] < 20


async def test_a_redis_that_is_killed_leaves_each_its_share_and_is_found_again(
    start_redis: RedisFactory,
) -> None:
    """TH8, TH9, OP3: none of it an error, and no window over the moment of death holds more than its quota."""
    server = start_redis()
    async with _workers(server.url) as workers:
        await workers.load(1.2)
        server.kill()
        at_death = monotonic()
        assert 30 <= await workers.load(2.5) <= 120
        assert most_in_any_window(workers.admitted, 1) <= 40
        server.start()
        assert await workers.until_redis_decides() < 3.0
        await workers.load(2.0)
        assert most_in_any_window(workers.admitted, 1) <= 40
        assert at_death < workers.admitted[-1]


async def test_what_was_spent_without_redis_is_told_to_it(start_redis: RedisFactory) -> None:
    """TH8: else a Redis that comes back would grant the whole limit on top of the shares."""
    server = start_redis()
    plan = (Window("sustained", 60, 60),)
    async with _workers(server.url, plan) as workers:
        server.kill()
        assert await workers.load(0.5) == 60
        server.start()
        await workers.until_redis_decides()
        assert await workers.load(0.5) == 0


async def test_what_redis_had_granted_is_not_granted_again_without_it(start_redis: RedisFactory) -> None:
    """TH8: the share is of what was left."""
    server = start_redis()
    plan = (Window("sustained", 60, 60),)
    async with _workers(server.url, plan) as workers:
        assert sum([await workers.ask(number % 2) for number in range(50)]) == 50
        server.kill()
        assert await workers.load(0.5) <= 12


async def test_a_redis_that_is_emptied_gives_at_most_one_window_more(start_redis: RedisFactory) -> None:
    """TH9: by FLUSHALL, under load."""
    server = start_redis()
    async with _workers(server.url) as workers:
        await workers.load(1.3)
        async with aioredis.Redis.from_url(server.url) as client:
            await client.flushall()
        emptied = monotonic()
        await workers.load(2.5)
        assert most_in_any_window(workers.admitted, 1) <= 80
        assert most_in_any_window([each for each in workers.admitted if each > emptied + 0.05], 1) <= 40


async def test_a_redis_that_is_not_there_at_the_start_is_found_when_it_comes(
    start_redis: RedisFactory,
) -> None:
    """TH8, OP3: a gateway starts without it."""
    server = start_redis()
    server.kill()
    async with _workers(server.url) as workers:
        assert 20 <= await workers.load(0.5) <= 40
        server.start()
        assert await workers.until_redis_decides() < 3.0
        await workers.load(1.5)
    assert most_in_any_window(workers.admitted, 1) <= 40


async def test_a_redis_that_flaps_never_gives_more_than_one_window_more(start_redis: RedisFactory) -> None:
    """TH8, TH9: paused and resumed again and again, under load."""
    server = start_redis()
    async with _workers(server.url) as workers:
        for pause in (0.02, 0.3, 0.05, 0.6):
            await workers.load(0.4)
            server.pause()
            await workers.load(pause)
            server.resume()
        await workers.load(0.5)
    assert most_in_any_window(workers.admitted, 1) <= 80
