"""A worker in another's place: what that one gave is not given again."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from uuid import uuid4

import pytest

from gateway.development.redis import LocalRedis
from gateway.throttle.account import Account
from gateway.throttle.errors import RateLimited
from gateway.throttle.limiter import PlanLimiter
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.stage import ThrottleStage
from gateway.throttle.storage import _OVERLAP
from tenants.principal import Principal, Window
from tests.asgi import http_scope, request_context, run_stage
from tests.integration.throttle.hammer import Plans, principal

pytestmark = pytest.mark.anyio

_PLANS = Plans((Window("burst", 10, 1), Window("sustained", 120, 60)))
_WIDE = Plans((Window("sustained", 1_000_000, 60),))


@asynccontextmanager
async def _successor(url: str | None) -> AsyncIterator[PlanLimiter]:
    limiter = PlanLimiter(ThrottleSettings(url, workers=2, takes_over=True))
    await limiter.start()
    try:
        yield limiter
    finally:
        await limiter.close()


def _account(limiter: PlanLimiter) -> Account:
    account = limiter.account(principal(uuid4()), _PLANS.current)
    assert account is not None
    return account


async def test_without_redis_a_successor_gives_nothing_before_its_predecessors_windows_are_over() -> None:
    """TH8: the predecessor may have given its whole share in its last moment."""
    async with _successor(None) as limiter:
        began = monotonic()
        share = _account(limiter).share
        admitted = [after for after in range(100) if share.spend(began + after, 1)]
    assert admitted
    assert admitted[0] >= _OVERLAP + 60
    assert admitted[0] <= _OVERLAP + 63


async def test_a_caller_is_told_how_long_that_takes() -> None:
    """TH6."""
    async with _successor(None) as limiter:
        request = request_context(http_scope())
        request.principal = principal(uuid4())
        with pytest.raises(RateLimited) as refused:
            await run_stage(ThrottleStage(limiter, _PLANS), request)
    assert 65 <= (refused.value.retry_after or 0) <= 75


async def _remaining(limiter: PlanLimiter, caller: Principal) -> int:
    """Of ``_WIDE``, after one request."""
    request = request_context(http_scope())
    request.principal = caller
    await run_stage(ThrottleStage(limiter, _WIDE), request)
    found = re.search(rb"r=(\d+)", dict(request.response_headers)[b"ratelimit"])
    assert found is not None
    return int(found[1])


async def test_a_worker_that_ends_gives_back_what_it_has_not_spent(redis_server: LocalRedis) -> None:
    """TH1: what lies at a worker for a quiet tenant is missed by no other once it has gone, however many tenants."""
    callers = [principal(uuid4()) for _ in range(300)]
    async with _successor(redis_server.url) as limiter:
        for caller in callers:
            await _remaining(limiter, caller)
    async with _successor(redis_server.url) as limiter:
        assert {await _remaining(limiter, caller) for caller in callers} == {1_000_000 - 2}


async def test_where_redis_answers_a_successor_gives_what_is_left(redis_server: LocalRedis) -> None:
    """TH1: Redis knows what the predecessor was granted."""
    async with _successor(redis_server.url) as limiter:
        request = request_context(http_scope())
        request.principal = principal(uuid4())
        await run_stage(ThrottleStage(limiter, _PLANS), request)
