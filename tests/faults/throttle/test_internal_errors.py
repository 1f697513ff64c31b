"""An internal error while a reply is processed: it is logged once, and fails the waiting requests and nothing else."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from gateway.development.redis import LocalRedis
from gateway.throttle.account import Account
from gateway.throttle.concurrency import ConcurrencyPermits
from gateway.throttle.leased_resource import LeasedResource
from gateway.throttle.limiter import RequestLimiter
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.stage import ThrottleStage
from tenants.principal import Principal, Window
from tests.asgi import end, http_scope, request_context, run_stage
from tests.fixtures.servers import RedisFactory
from tests.integration.throttle.load_worker import Plans, principal

pytestmark = pytest.mark.anyio

_PLANS = Plans((Window("burst", 40, 1),), 10)


class Broken:
    """Replaces ``apply_reply``, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *_reply: Any, **_moments: Any) -> None:
        self.calls += 1
        raise ZeroDivisionError


async def _ask(limiter: RequestLimiter, caller: Principal) -> None:
    request = request_context(http_scope())
    request.principal = caller
    async with asyncio.timeout(5):
        await run_stage(ThrottleStage(limiter, _PLANS), request)
    end(request)


@pytest.mark.parametrize("kind", [Account, ConcurrencyPermits])
async def test_an_internal_error_fails_the_waiting_requests_and_is_logged_once(
    redis_server: LocalRedis, monkeypatch: pytest.MonkeyPatch, kind: type[LeasedResource[Any]]
) -> None:
    """OP3: they are not retried in a tight loop, which would take a processor and flood Redis and the log."""
    limiter, caller, broken = RequestLimiter(ThrottleSettings(redis_server.url, 2)), principal(uuid4()), Broken()
    await limiter.start()
    try:
        with monkeypatch.context() as patch, capture_logs() as logs:
            patch.setattr(kind, "apply_reply", broken)
            failed = await asyncio.gather(*(_ask(limiter, caller) for _ in range(5)), return_exceptions=True)
        assert [type(error) for error in failed] == [ZeroDivisionError] * 5
        assert broken.calls == 1
        assert [entry["event"] for entry in logs] == ["throttle_call_failed"]
        await _ask(limiter, caller)
    finally:
        await limiter.close()


async def test_an_internal_error_does_not_end_the_probe_for_redis(
    start_redis: RedisFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OP3: otherwise the worker would enforce its own share for ever."""
    server, caller = start_redis(), principal(uuid4())
    limiter = RequestLimiter(ThrottleSettings(server.url, 2))
    await limiter.start()
    try:
        server.kill()
        await _ask(limiter, caller)
        with monkeypatch.context() as patch, capture_logs() as logs:
            patch.setattr(Account, "apply_reply", Broken())
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(5):
                while not limiter._storage.check():  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.01)
        assert [entry["event"] for entry in logs] == ["throttle_report_failed", "throttle_with_redis"]
    finally:
        await limiter.close()
