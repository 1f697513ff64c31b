"""The concurrency limit while Redis hangs, dies, restarts empty and is flushed, with two workers in one event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID, uuid4

import pytest
import redis.asyncio as aioredis

from gateway.throttle.errors import ConcurrencyLimited
from gateway.throttle.limiter import RequestLimiter
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.stage import ThrottleStage
from tenants.principal import Window
from tests.asgi import end, http_scope, request_context, run_stage
from tests.fixtures.servers import RedisFactory
from tests.integration.throttle.load_worker import PATIENT, Plans, principal

pytestmark = pytest.mark.anyio

_LIMIT = 8
_DURATION = 0.03  # seconds


@dataclass(slots=True)
class Traffic:
    """Requests to two workers in turn, each in flight for a while."""

    stages: list[ThrottleStage]
    limiters: list[RequestLimiter]
    tenant: UUID = field(default_factory=uuid4)
    present: int = 0
    most: int = 0
    admitted: int = 0
    requests: list[asyncio.Task[None]] = field(default_factory=list)

    async def load(self, seconds: float, *, only: int | None = None) -> tuple[int, int]:
        """Four times the admissible rate for ``seconds``: how many were admitted, and the most in flight."""
        self.most = self.present
        before, end, turn = self.admitted, monotonic() + seconds, 0
        while monotonic() < end:
            turn += 1
            self.begin(turn % 2 if only is None else only)
            await asyncio.sleep(_DURATION / _LIMIT / 4)
        return self.admitted - before, self.most

    def begin(self, worker: int, duration: float = _DURATION) -> None:
        """One request."""
        self.requests.append(asyncio.create_task(self._request(worker, duration)))

    async def _request(self, worker: int, duration: float) -> None:
        request = request_context(http_scope())
        request.principal = principal(self.tenant)
        try:
            await run_stage(self.stages[worker], request)
        except ConcurrencyLimited:
            return
        self.admitted += 1
        self.present += 1
        self.most = max(self.most, self.present)
        await asyncio.sleep(duration)
        self.present -= 1
        end(request)

    async def end(self) -> None:
        """Cancel running requests. Raises the error of any request that failed."""
        for request in self.requests:
            request.cancel()
        for error in await asyncio.gather(*self.requests, return_exceptions=True):
            if isinstance(error, Exception):
                raise error

    async def until_redis_is_used(self) -> None:
        async with asyncio.timeout(5):
            while not all(limiter._storage.check() for limiter in self.limiters):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)


@asynccontextmanager
async def _traffic(url: str, deadline_seconds: float = 0.005) -> AsyncIterator[Traffic]:
    limiters = [RequestLimiter(ThrottleSettings(url, 2, deadline_seconds)) for _ in range(2)]
    plans = Plans((Window("burst", 100_000, 1),), _LIMIT)
    for limiter in limiters:
        await limiter.start()
    traffic = Traffic([ThrottleStage(limiter, plans) for limiter in limiters], limiters)
    try:
        yield traffic
        await traffic.end()
    finally:
        for limiter in limiters:
            await limiter.close()


@pytest.mark.parametrize("fault", ["hangs", "dies"])
async def test_all_workers_together_have_at_most_the_limit_in_flight_while_redis_is_down(
    start_redis: RedisFactory, fault: str
) -> None:
    """TH8, OP3: before, during and after the outage; a Redis that died restarts empty."""
    server = start_redis()
    async with _traffic(server.url) as traffic:
        admitted, most = await traffic.load(0.5)
        assert admitted >= 50
        assert most <= _LIMIT
        server.pause() if fault == "hangs" else server.kill()
        admitted, most = await traffic.load(1.5)
        assert most <= _LIMIT
        assert admitted >= 50
        server.resume() if fault == "hangs" else await asyncio.to_thread(server.start)
        await traffic.until_redis_is_used()
        admitted, most = await traffic.load(1.5)
        assert most <= _LIMIT
        assert admitted >= 50


async def test_requests_in_flight_elsewhere_when_redis_fails_count_against_the_share(start_redis: RedisFactory) -> None:
    """TH8: seven of eight run on one worker, so the other admits one, though its share is four."""
    server = start_redis()
    async with _traffic(server.url, PATIENT) as traffic:
        traffic.begin(1, 0.2)
        for _ in range(7):
            traffic.begin(0, 2.0)
        await asyncio.sleep(0.1)
        assert traffic.present == _LIMIT
        await asyncio.sleep(0.2)
        traffic.begin(1, 0.01)
        await asyncio.sleep(0.1)
        server.kill()
        assert (await traffic.load(0.5, only=1))[1] <= _LIMIT


async def test_requests_in_flight_are_reported_when_redis_is_back(start_redis: RedisFactory) -> None:
    """TH9: a Redis that restarted empty does not grant the permits of requests that are still in flight."""
    server = start_redis()
    async with _traffic(server.url, PATIENT) as traffic:
        for _ in range(3):
            traffic.begin(0, 6.0)
        await asyncio.sleep(0.1)
        server.kill()
        for _ in range(9):
            traffic.begin(1, 6.0)
        await asyncio.sleep(0.2)
        begun = traffic.present
        await asyncio.to_thread(server.start)
        await traffic.until_redis_is_used()
        await traffic.load(1.5)
        assert 3 < begun <= _LIMIT
        assert traffic.most <= _LIMIT


async def test_a_flushed_redis_admits_at_most_twice_the_limit_for_a_second(start_redis: RedisFactory) -> None:
    """TH9: every worker reports the permits in use with its next call."""
    server = start_redis()
    async with _traffic(server.url, PATIENT) as traffic:
        await traffic.load(0.5)
        async with aioredis.Redis.from_url(server.url) as client:
            await client.flushall()
        assert (await traffic.load(1.3))[1] <= 2 * _LIMIT
        assert (await traffic.load(1.0))[1] <= _LIMIT
