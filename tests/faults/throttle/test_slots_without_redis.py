"""Slots while Redis hangs, is killed, restarted empty and emptied: two workers (two limiters in one loop)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID, uuid4

import pytest
import redis.asyncio as aioredis

from gateway.throttle.errors import ConcurrencyLimited
from gateway.throttle.limiter import PlanLimiter
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.stage import ThrottleStage
from tenants.principal import Window
from tests.asgi import http_scope, request_context, run_stage
from tests.fixtures.servers import RedisFactory
from tests.integration.throttle.hammer import Plans, principal

pytestmark = pytest.mark.anyio

_LIMIT = 8
_LASTS = 0.03  # seconds


@dataclass(slots=True)
class Crowd:
    """Requests that come to two workers in turn, each in flight for a while."""

    stages: list[ThrottleStage]
    limiters: list[PlanLimiter]
    tenant: UUID = field(default_factory=uuid4)
    present: int = 0
    most: int = 0
    admitted: int = 0
    requests: list[asyncio.Task[None]] = field(default_factory=list)

    async def load(self, seconds: float, *, only: int | None = None) -> tuple[int, int]:
        """For a while, four times of what the limit lets through: how many were admitted, the most in flight."""
        self.most = self.present
        before, end, turn = self.admitted, monotonic() + seconds, 0
        while monotonic() < end:
            turn += 1
            self.begin(turn % 2 if only is None else only)
            await asyncio.sleep(_LASTS / _LIMIT / 4)
        return self.admitted - before, self.most

    def begin(self, worker: int, lasts: float = _LASTS) -> None:
        """One request."""
        self.requests.append(asyncio.create_task(self._request(worker, lasts)))

    async def _request(self, worker: int, lasts: float) -> None:
        request = request_context(http_scope())
        request.principal = principal(self.tenant)
        try:
            await run_stage(self.stages[worker], request)
        except ConcurrencyLimited:
            return
        self.admitted += 1
        self.present += 1
        self.most = max(self.most, self.present)
        await asyncio.sleep(lasts)
        self.present -= 1
        self.limiters[worker].release(request, 200)

    async def end(self) -> None:
        """Cut off what still runs. Raises what any request raised that was not refused."""
        for request in self.requests:
            request.cancel()
        for error in await asyncio.gather(*self.requests, return_exceptions=True):
            if isinstance(error, Exception):
                raise error

    async def until_redis_decides(self) -> None:
        async with asyncio.timeout(5):
            while not all(limiter._storage.check() for limiter in self.limiters):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)


@asynccontextmanager
async def _crowd(url: str) -> AsyncIterator[Crowd]:
    limiters = [PlanLimiter(ThrottleSettings(url, 2)) for _ in range(2)]
    plans = Plans((Window("burst", 100_000, 1),), _LIMIT)
    for limiter in limiters:
        await limiter.start()
    crowd = Crowd([ThrottleStage(limiter, plans) for limiter in limiters], limiters)
    try:
        yield crowd
        await crowd.end()
    finally:
        for limiter in limiters:
            await limiter.close()


@pytest.mark.parametrize("fault", ["hangs", "dies"])
async def test_all_workers_together_have_at_most_the_limit_in_flight_while_redis_is_away(
    start_redis: RedisFactory, fault: str
) -> None:
    """TH8, OP3: before, while and after, and over the moments of change; a Redis that died comes back empty."""
    server = start_redis()
    async with _crowd(server.url) as crowd:
        admitted, most = await crowd.load(0.5)
        assert admitted >= 50
        assert most <= _LIMIT
        server.pause() if fault == "hangs" else server.kill()
        admitted, most = await crowd.load(1.5)
        assert most <= _LIMIT
        assert admitted >= 50
        server.resume() if fault == "hangs" else await asyncio.to_thread(server.start)
        await crowd.until_redis_decides()
        admitted, most = await crowd.load(1.5)
        assert most <= _LIMIT
        assert admitted >= 50


async def test_what_runs_when_redis_goes_is_left_to_it_by_the_others(start_redis: RedisFactory) -> None:
    """TH8: seven of eight run at one worker, so the other gives the eighth, though its share is four."""
    server = start_redis()
    async with _crowd(server.url) as crowd:
        crowd.begin(1, 0.2)
        for _ in range(7):
            crowd.begin(0, 2.0)
        await asyncio.sleep(0.1)
        assert crowd.present == _LIMIT
        await asyncio.sleep(0.2)
        crowd.begin(1, 0.01)
        await asyncio.sleep(0.1)
        server.kill()
        assert (await crowd.load(0.5, only=1))[1] <= _LIMIT


async def test_what_runs_when_redis_comes_back_is_told_to_it(start_redis: RedisFactory) -> None:
    """TH9: a Redis that was restarted empty does not give away what was begun before and without it."""
    server = start_redis()
    async with _crowd(server.url) as crowd:
        for _ in range(3):
            crowd.begin(0, 6.0)
        await asyncio.sleep(0.1)
        server.kill()
        for _ in range(9):
            crowd.begin(1, 6.0)
        await asyncio.sleep(0.2)
        begun = crowd.present
        await asyncio.to_thread(server.start)
        await crowd.until_redis_decides()
        await crowd.load(1.5)
        assert 3 < begun <= _LIMIT
        assert crowd.most <= _LIMIT


async def test_a_redis_that_is_emptied_gives_at_most_the_limit_more_for_a_second(start_redis: RedisFactory) -> None:
    """TH9: every worker tells it with its next call what is in use."""
    server = start_redis()
    async with _crowd(server.url) as crowd:
        await crowd.load(0.5)
        async with aioredis.Redis.from_url(server.url) as client:
            await client.flushall()
        assert (await crowd.load(1.3))[1] <= 2 * _LIMIT
        assert (await crowd.load(1.0))[1] <= _LIMIT
