"""The rate limits: the limiters of one or several workers in one process, over a real Redis."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import cache
from time import monotonic
from uuid import uuid4

import pytest
import redis.asyncio as aioredis
from structlog.testing import capture_logs

from gateway.development.redis import LocalRedis
from gateway.throttle import account as throttle_account
from gateway.throttle.account import Account
from gateway.throttle.limiter import RequestLimiter
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.storage import LeasedStorage
from tenants.errors import RateLimited
from tenants.principal import Principal, Window
from tests.asgi import http_scope, request_context, respond_ok, route_to
from tests.integration.throttle.load_worker import PATIENT, Plan, principal

pytestmark = pytest.mark.anyio

_FREE = (Window("burst", 10, 1), Window("sustained", 120, 60))
_WIDE = (Window("burst", 100_000, 1), Window("sustained", 1_000_000, 60))
Workers = Callable[..., RequestLimiter]


@pytest.fixture
async def start(redis_server: LocalRedis) -> AsyncIterator[Callable[[], "asyncio.Future[RequestLimiter]"]]:
    """Starts limiters as separate workers would."""
    async with AsyncExitStack() as stack:

        def one() -> "asyncio.Future[RequestLimiter]":
            return asyncio.ensure_future(_started(stack, redis_server.url))

        yield one


async def _started(stack: AsyncExitStack, url: str | None, workers: int = 2) -> RequestLimiter:
    limiter = RequestLimiter(ThrottleSettings(url, workers, PATIENT))
    await limiter.start()
    stack.push_async_callback(limiter.close)
    return limiter


@pytest.fixture
async def limiter(start: Callable[[], "asyncio.Future[RequestLimiter]"]) -> RequestLimiter:
    return await start()


def _storage(limiter: RequestLimiter) -> LeasedStorage:
    assert isinstance(limiter._storage, LeasedStorage)
    return limiter._storage


@cache
def _plan(windows: tuple[Window, ...]) -> Plan:
    return Plan(windows)


def _account(limiter: RequestLimiter, caller: Principal, windows: tuple[Window, ...] = _FREE) -> Account:
    account = limiter.plan_account(caller, _plan(windows))
    assert account is not None
    return account


async def _ask(
    limiter: RequestLimiter, caller: Principal, windows: tuple[Window, ...] = _FREE, cost: int = 1
) -> dict[str, str]:
    """One request: its header fields. Raises RateLimited."""
    account = _account(limiter, caller, windows)
    request = request_context(http_scope())
    route_to(respond_ok, cost=cost)(request)
    if not limiter.admit(request, account, monotonic(), cost):
        limiter.check(request, account, await limiter.lease(request, account))
    return {name.decode(): value.decode() for name, value in request.response_headers}


async def _admitted(limiter: RequestLimiter, caller: Principal, count: int, windows: tuple[Window, ...] = _FREE) -> int:
    admitted = 0
    for _ in range(count):
        try:
            await _ask(limiter, caller, windows)
        except RateLimited:
            continue
        admitted += 1
    return admitted


async def test_the_header_fields_count_down_to_the_refusal(limiter: RequestLimiter) -> None:
    """TH6: RateLimit-Policy and RateLimit as in the draft, on admissions and refusals, and Retry-After."""
    caller = principal(uuid4())
    remaining = []
    for _ in range(10):
        fields = await _ask(limiter, caller)
        assert fields["ratelimit-policy"] == '"burst";q=10;w=1, "sustained";q=120;w=60'
        found = re.fullmatch(r'"burst";r=(\d+);t=(\d+), "sustained";r=(\d+);t=(\d+)', fields["ratelimit"])
        assert found is not None
        remaining.append(int(found[1]))
        assert int(found[2]) == 1
        assert 1 <= int(found[4]) <= 60
    assert remaining == list(range(9, -1, -1))
    with pytest.raises(RateLimited) as refused:
        await _ask(limiter, caller)
    assert refused.value.code == "rate_limited"
    assert refused.value.retry_after in {1, 2}


async def test_a_refusal_names_the_window_that_refuses(limiter: RequestLimiter) -> None:
    """TH6: its name and size, to the caller and in the log; of several the one with the longest wait."""
    caller, windows = principal(uuid4()), (Window("burst", 50, 1), Window("sustained", 6, 60))
    assert await _admitted(limiter, caller, 7, windows) == 6
    with pytest.raises(RateLimited) as refused:
        await _ask(limiter, caller, windows)
    assert 'Rate limit "sustained" (6 per 60 s) exceeded' in refused.value.message
    assert 'window "sustained" (6 per 60 s)' in (refused.value.detail or "")
    busy = principal(uuid4())
    await _ask(limiter, busy, cost=10)
    with pytest.raises(RateLimited) as refused:
        await _ask(limiter, busy)
    assert 'Rate limit "burst" (10 per 1 s) exceeded' in refused.value.message


@pytest.mark.parametrize("windows", [(Window("a", 3, 1),), (Window("a", 50, 1), Window("b", 6, 2))])
async def test_a_retry_after_the_advised_wait_succeeds(limiter: RequestLimiter, windows: tuple[Window, ...]) -> None:
    """TH6: Retry-After is sufficient."""
    caller = principal(uuid4())
    while await _admitted(limiter, caller, 1, windows):
        pass
    with pytest.raises(RateLimited) as refused:
        await _ask(limiter, caller, windows)
    assert refused.value.retry_after is not None
    await asyncio.sleep(refused.value.retry_after)
    assert await _ask(limiter, caller, windows)


async def test_all_keys_of_a_tenant_share_its_windows_over_all_workers(
    start: Callable[[], "asyncio.Future[RequestLimiter]"],
) -> None:
    """TH1, TH2: ten a second are ten, for any key and worker."""
    tenant, workers = uuid4(), [await start(), await start(), await start()]
    admitted = 0
    for number in range(15):
        admitted += await _admitted(workers[number % 3], principal(tenant, key=number), 1)
    assert admitted == 10


async def test_a_key_may_have_tighter_limits_and_is_charged_to_both_or_neither(limiter: RequestLimiter) -> None:
    """TH2: what its own limit refuses costs the tenant nothing, and what it admits counts for the tenant."""
    tenant = uuid4()
    narrow, plain = principal(tenant, (Window("burst", 3, 1),), key=7), principal(tenant, key=8)
    assert await _admitted(limiter, narrow, 8) == 3
    assert (await _ask(limiter, plain))["ratelimit"].startswith('"burst";r=6;')
    assert await _admitted(limiter, plain, 8) == 6


async def test_an_exhausted_tenant_stops_its_keys_with_tighter_limits(limiter: RequestLimiter) -> None:
    """TH2: all windows or none."""
    tenant = uuid4()
    assert await _admitted(limiter, principal(tenant), 12) == 10
    assert await _admitted(limiter, principal(tenant, (Window("own", 5, 60),), key=7), 1) == 0


async def test_a_changed_plan_applies_to_the_first_request_under_it(limiter: RequestLimiter) -> None:
    """TH7: an upgrade admits more at once; after a downgrade earlier usage counts."""
    caller = principal(uuid4())
    assert await _admitted(limiter, caller, 12) == 10
    pro = (Window("burst", 100, 1), Window("sustained", 3000, 60))
    assert await _admitted(limiter, caller, 20, pro) == 20
    assert await _admitted(limiter, caller, 3) == 0


async def test_a_plan_that_changes_a_hundred_times_admits_no_more_than_the_widest(limiter: RequestLimiter) -> None:
    """TH7, TH1: tokens of the former plan are returned."""
    caller, admitted = principal(uuid4()), 0
    plans = [(Window("burst", quota, 1),) for quota in (64, 200)]
    began = monotonic()
    for number in range(400):
        admitted += await _admitted(limiter, caller, 1, plans[number // 4 % 2])
    assert admitted <= 200 * (1 + int(monotonic() - began))


async def test_a_cost_is_charged_whole_or_not_at_all(limiter: RequestLimiter) -> None:
    """A route may cost more than one token."""
    caller = principal(uuid4())
    await _ask(limiter, caller, cost=7)
    with pytest.raises(RateLimited):
        await _ask(limiter, caller, cost=4)
    await _ask(limiter, caller, cost=3)


async def test_concurrent_requests_share_few_calls(limiter: RequestLimiter, redis_server: LocalRedis) -> None:
    """A call requests tokens for all waiting requests, and one call is pending for a tenant at a time."""
    caller = principal(uuid4())
    async with aioredis.Redis.from_url(redis_server.url) as client:
        before = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
        await asyncio.gather(*(_ask(limiter, caller, _WIDE) for _ in range(50)))
        assert (await client.info("commandstats"))["cmdstat_evalsha"]["calls"] - before <= 4


async def test_a_warm_request_does_not_call_redis(limiter: RequestLimiter, redis_server: LocalRedis) -> None:
    """Most requests find a leased token."""
    caller = principal(uuid4())
    async with aioredis.Redis.from_url(redis_server.url) as client:
        began, sent = monotonic(), 0
        before = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
        while monotonic() - began < 1.0:
            await _ask(limiter, caller, _WIDE)
            sent += 1
            if sent % 20 == 0:
                await asyncio.sleep(0.001)
        calls = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"] - before
    assert sent / calls > 20


async def test_a_refusal_does_not_call_redis(limiter: RequestLimiter, redis_server: LocalRedis) -> None:
    """IS10: a flood past the limit is refused without Redis."""
    caller = principal(uuid4())
    windows = (Window("sustained", 12, 60),)
    assert await _admitted(limiter, caller, 13, windows) == 12
    async with aioredis.Redis.from_url(redis_server.url) as client:
        before = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
        assert await _admitted(limiter, caller, 500, windows) == 0
        assert (await client.info("commandstats"))["cmdstat_evalsha"]["calls"] == before


async def test_a_script_that_redis_has_lost_is_sent_again(limiter: RequestLimiter, redis_server: LocalRedis) -> None:
    """TH9: SCRIPT FLUSH, a restart and a failover lose it; no request fails."""
    caller = principal(uuid4())
    await _ask(limiter, caller)
    async with aioredis.Redis.from_url(redis_server.url) as client:
        await client.script_flush()
    assert (await _ask(limiter, caller))["ratelimit"].startswith('"burst";r=8;')
    assert limiter._storage.check()


async def test_all_redis_keys_of_a_tenant_share_a_hash_tag_and_expire(
    limiter: RequestLimiter, redis_server: LocalRedis
) -> None:
    """IS7: one hash tag for Redis Cluster, and no key without a TTL."""
    tenant = uuid4()
    await _ask(limiter, principal(tenant, (Window("own", 5, 3),), key=7))
    async with aioredis.Redis.from_url(redis_server.url) as client:
        keys = [key async for key in client.scan_iter(match=f"*{tenant.hex}*")]
        assert len(keys) == 2
        assert {re.findall(rb"\{(.*?)\}", key)[0] for key in keys} == {tenant.hex.encode()}
        lives = [await client.pttl(key) for key in keys]
        assert all(0 < life < 65_000 for life in lives)


async def test_a_stalled_process_does_not_refuse_what_it_has_just_leased(limiter: RequestLimiter) -> None:
    """TH1: a token lives for milliseconds; the check uses the moment at which it was available."""
    account, request = _account(limiter, principal(uuid4())), request_context(http_scope())
    route_to(respond_ok)(request)
    now = await limiter.lease(request, account)
    time.sleep(2 * account.windows.grain)  # noqa: ASYNC251 - nothing else may run meanwhile
    limiter.check(request, account, now)
    with pytest.raises(RateLimited):
        limiter.check(request, account, monotonic())


async def test_idle_tenants_are_forgotten(limiter: RequestLimiter) -> None:
    """Ten thousand tenants in turn leave no state behind; Redis still counts their usage."""
    storage, callers = _storage(limiter), [principal(uuid4()) for _ in range(300)]
    await asyncio.gather(*(_ask(limiter, caller) for caller in callers))
    await storage.sweep()
    assert len(storage._accounts) == 300
    await asyncio.sleep(0.05)
    await storage.sweep()
    assert storage._accounts == {}
    assert storage._counters == {}
    assert (await _ask(limiter, callers[0]))["ratelimit"].startswith('"burst";r=8;')


async def test_unspent_tokens_of_a_forgotten_tenant_are_returned(
    limiter: RequestLimiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TH1: otherwise a reserve would count for a day, and exhaust the quota with tokens that were never spent."""
    monkeypatch.setattr(throttle_account, "_MAX_LEASE_TTL", 0.05)
    caller, windows = principal(uuid4()), (Window("burst", 5_000, 1), Window("daily", 5_000, 86_400))
    storage = _storage(limiter)
    for number in range(1, 4):
        fields = await _ask(limiter, caller, windows)
        assert f'"daily";r={5_000 - number};' in fields["ratelimit"]
        async with asyncio.timeout(10):
            while storage._accounts:
                await asyncio.sleep(0.05)
                await storage.sweep()


async def test_a_client_that_disconnects_while_it_waits_takes_no_token(limiter: RequestLimiter) -> None:
    """PX9: the call goes on for the others, and another request gets the token."""
    caller = principal(uuid4())
    waiting = [asyncio.ensure_future(_ask(limiter, caller)) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert all(isinstance(answer, dict) for answer in answers[1:])
    assert await _admitted(limiter, caller, 10) in {5, 6}


async def test_without_redis_a_refusal_names_the_window_too() -> None:
    """TH6, TH8: the window whose share has the longest wait."""
    async with AsyncExitStack() as stack:
        alone, caller = await _started(stack, None, workers=2), principal(uuid4())
        windows = (Window("burst", 4, 1), Window("sustained", 4, 60))
        assert await _admitted(alone, caller, 3, windows) == 2
        with pytest.raises(RateLimited) as refused:
            await _ask(alone, caller, windows)
        assert '"sustained" (4 per 60 s)' in refused.value.message


async def test_without_redis_a_worker_enforces_its_share_and_logs_it() -> None:
    """TH8: with a warning in the log."""
    async with AsyncExitStack() as stack:
        with capture_logs() as logged:
            alone = await _started(stack, None, workers=2)
        assert [(each["event"], each["log_level"]) for each in logged] == [("throttle_in_process", "warning")]
        assert await _admitted(alone, principal(uuid4()), 10) == 5


async def test_the_environment_cannot_disable_limits(redis_server: LocalRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """SlowAPI reads RATELIMIT_ENABLED by itself."""
    monkeypatch.setenv("RATELIMIT_ENABLED", "false")
    async with AsyncExitStack() as stack:
        limiter = await _started(stack, redis_server.url)
        assert await _admitted(limiter, principal(uuid4()), 12) == 10
