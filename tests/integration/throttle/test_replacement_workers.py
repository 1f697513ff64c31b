"""A replacement worker does not admit again what its predecessor admitted."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from uuid import uuid4

import pytest

from gateway.development.redis import LocalRedis
from gateway.throttle.account import Account
from gateway.throttle.limiter import RequestLimiter
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.stage import ThrottleStage
from gateway.throttle.storage import _OVERLAP
from tenants.errors import RateLimited
from tenants.principal import Principal, Window
from tests.asgi import http_scope, request_context, run_stage
from tests.integration.throttle.load_worker import PATIENT, Plans, principal

pytestmark = pytest.mark.anyio

_PLANS = Plans((Window("burst", 10, 1), Window("sustained", 120, 60)))
_WIDE = Plans((Window("sustained", 1_000_000, 60),))


@asynccontextmanager
async def _replacement(url: str | None) -> AsyncIterator[RequestLimiter]:
    limiter = RequestLimiter(ThrottleSettings(url, 2, PATIENT, takes_over=True))
    await limiter.start()
    try:
        yield limiter
    finally:
        await limiter.close()


def _account(limiter: RequestLimiter) -> Account:
    account = limiter.plan_account(principal(uuid4()), _PLANS.current)
    assert account is not None
    return account


async def test_without_redis_a_replacement_admits_nothing_before_its_predecessors_windows_are_over() -> None:
    """TH8: the predecessor may have spent its whole share in its last moment."""
    async with _replacement(None) as limiter:
        began = monotonic()
        share = _account(limiter).share
        admitted = [after for after in range(100) if share.spend(began + after, 1)]
    assert admitted
    assert admitted[0] >= _OVERLAP + 60
    assert admitted[0] <= _OVERLAP + 63


async def test_retry_after_covers_that_wait() -> None:
    """TH6."""
    async with _replacement(None) as limiter:
        request = request_context(http_scope())
        request.principal = principal(uuid4())
        with pytest.raises(RateLimited) as refused:
            await run_stage(ThrottleStage(limiter, _PLANS), request)
    assert 65 <= (refused.value.retry_after or 0) <= 75


async def _remaining(limiter: RequestLimiter, caller: Principal) -> int:
    """Of ``_WIDE``, after one request."""
    request = request_context(http_scope())
    request.principal = caller
    await run_stage(ThrottleStage(limiter, _WIDE), request)
    found = re.search(rb"r=(\d+)", dict(request.response_headers)[b"ratelimit"])
    assert found is not None
    return int(found[1])


async def test_a_stopping_worker_returns_unspent_tokens(redis_server: LocalRedis) -> None:
    """TH1: its reserves are available to the others once it has stopped, for any number of tenants."""
    callers = [principal(uuid4()) for _ in range(300)]
    async with _replacement(redis_server.url) as limiter:
        for caller in callers:
            await _remaining(limiter, caller)
    async with _replacement(redis_server.url) as limiter:
        assert {await _remaining(limiter, caller) for caller in callers} == {1_000_000 - 2}


async def test_with_redis_a_replacement_admits_what_remains(redis_server: LocalRedis) -> None:
    """TH1: Redis knows what the predecessor leased."""
    async with _replacement(redis_server.url) as limiter:
        request = request_context(http_scope())
        request.principal = principal(uuid4())
        await run_stage(ThrottleStage(limiter, _PLANS), request)
