"""The limiter of one worker, or of two in one process, over a real Redis."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import cache
from time import monotonic
from uuid import UUID, uuid4

import pytest
import redis.asyncio as aioredis

from gateway.development.redis import LocalRedis
from gateway.request.context import RequestContext
from gateway.throttle import account as throttle_account
from gateway.throttle.account import Account
from gateway.throttle.errors import RateLimited
from gateway.throttle.limiter import PlanLimiter
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.stage import ThrottleStage
from gateway.throttle.storage import LeasedStorage
from tenants.principal import Principal, Window
from tests.asgi import http_scope, request_context, respond_ok, route_to, run_stage
from tests.integration.throttle.hammer import Plan, Plans, principal

pytestmark = pytest.mark.anyio

_FREE = (Window("burst", 10, 1), Window("sustained", 120, 60))
_WIDE = (Window("burst", 100_000, 1), Window("sustained", 1_000_000, 60))
Workers = Callable[..., PlanLimiter]


@pytest.fixture
async def start(redis_server: LocalRedis) -> AsyncIterator[Callable[[], "asyncio.Future[PlanLimiter]"]]:
    """Starts limiters as so many workers would have them."""
    async with AsyncExitStack() as stack:

        def one() -> "asyncio.Future[PlanLimiter]":
            return asyncio.ensure_future(_started(stack, redis_server.url))

        yield one


async def _started(stack: AsyncExitStack, url: str | None, workers: int = 2) -> PlanLimiter:
    limiter = PlanLimiter(ThrottleSettings(url, workers))
    await limiter.start()
    stack.push_async_callback(limiter.close)
    return limiter


@pytest.fixture
async def limiter(start: Callable[[], "asyncio.Future[PlanLimiter]"]) -> PlanLimiter:
    return await start()


def _storage(limiter: PlanLimiter) -> LeasedStorage:
    assert isinstance(limiter._storage, LeasedStorage)
    return limiter._storage


@cache
def _plan(windows: tuple[Window, ...]) -> Plan:
    return Plan(windows)


def _account(limiter: PlanLimiter, caller: Principal, windows: tuple[Window, ...] = _FREE) -> Account:
    account = limiter.account(caller, _plan(windows))
    assert account is not None
    return account


async def _ask(
    limiter: PlanLimiter, caller: Principal, windows: tuple[Window, ...] = _FREE, cost: int = 1
) -> dict[str, str]:
    """One request: its header fields. Raises RateLimited."""
    account = _account(limiter, caller, windows)
    request = request_context(http_scope())
    route_to(respond_ok, cost=cost)(request)
    request.account = account
    if not limiter.admit(request, account, monotonic(), cost):
        limiter.check(request, await limiter.lease(request))
    return {name.decode(): value.decode() for name, value in request.response_headers}


async def _admitted(limiter: PlanLimiter, caller: Principal, count: int, windows: tuple[Window, ...] = _FREE) -> int:
    admitted = 0
    for _ in range(count):
        try:
            await _ask(limiter, caller, windows)
        except RateLimited:
            continue
        admitted += 1
    return admitted


async def test_the_fields_count_down_to_the_refusal(limiter: PlanLimiter) -> None:
    """TH6: RateLimit-Policy and RateLimit as the draft has them, refused or not, and how long to wait."""
    caller = principal(uuid4())
    remaining = []
    for _ in range(10):
        fields = await _ask(limiter, caller)
        assert fields["ratelimit-policy"] == '"burst";q=10;w=1, "sustained";q=120;w=60'
        found = re.fullmatch(r'"burst";r=(\d+);t=(\d+), "sustained";r=(\d+);t=(\d+)', fields["ratelimit"])
        assert found is not None
        remaining.append(int(found[1]))
        assert 1 <= int(found[2]) <= 2
        assert 1 <= int(found[4]) <= 61
    assert remaining == list(range(9, -1, -1))
    with pytest.raises(RateLimited) as refused:
        await _ask(limiter, caller)
    assert refused.value.code == "rate_limited"
    assert refused.value.retry_after in {1, 2}


@pytest.mark.parametrize("windows", [(Window("a", 3, 1),), (Window("a", 50, 1), Window("b", 6, 2))])
async def test_a_caller_that_waits_as_told_succeeds(limiter: PlanLimiter, windows: tuple[Window, ...]) -> None:
    """TH6: and one that does not is told again."""
    caller = principal(uuid4())
    while await _admitted(limiter, caller, 1, windows):
        pass
    with pytest.raises(RateLimited) as refused:
        await _ask(limiter, caller, windows)
    assert refused.value.retry_after is not None
    await asyncio.sleep(refused.value.retry_after)
    assert await _ask(limiter, caller, windows)


async def test_all_keys_of_a_tenant_share_its_windows_over_all_workers(
    start: Callable[[], "asyncio.Future[PlanLimiter]"],
) -> None:
    """TH1, TH2: ten in a second are ten, whichever key and whichever worker."""
    tenant, workers = uuid4(), [await start(), await start(), await start()]
    admitted = 0
    for number in range(15):
        admitted += await _admitted(workers[number % 3], principal(tenant, key=number), 1)
    assert admitted == 10


async def test_a_key_may_have_tighter_limits_and_is_charged_to_both_or_neither(limiter: PlanLimiter) -> None:
    """TH2: what its own limit refuses costs the tenant nothing, and what it is given counts for the tenant."""
    tenant = uuid4()
    narrow, plain = principal(tenant, (Window("burst", 3, 1),), key=7), principal(tenant, key=8)
    assert await _admitted(limiter, narrow, 8) == 3
    assert (await _ask(limiter, plain))["ratelimit"].startswith('"burst";r=6;')
    assert await _admitted(limiter, plain, 8) == 6


async def test_a_tenant_that_is_used_up_stops_its_narrow_keys_too(limiter: PlanLimiter) -> None:
    """TH2: all windows or none."""
    tenant = uuid4()
    assert await _admitted(limiter, principal(tenant), 12) == 10
    assert await _admitted(limiter, principal(tenant, (Window("own", 5, 60),), key=7), 1) == 0


async def test_a_change_of_plan_is_in_force_with_the_request_that_brings_it(limiter: PlanLimiter) -> None:
    """TH7: upwards it opens the gate at once, downwards what was used counts."""
    caller = principal(uuid4())
    assert await _admitted(limiter, caller, 12) == 10
    pro = (Window("burst", 100, 1), Window("sustained", 3000, 60))
    assert await _admitted(limiter, caller, 20, pro) == 20
    assert await _admitted(limiter, caller, 3) == 0


async def test_a_plan_that_changes_a_hundred_times_keeps_to_the_widest(limiter: PlanLimiter) -> None:
    """TH7, TH1: tokens of the plan before are given back and not spent."""
    caller, admitted = principal(uuid4()), 0
    plans = [(Window("burst", quota, 1),) for quota in (64, 200)]
    began = monotonic()
    for number in range(400):
        admitted += await _admitted(limiter, caller, 1, plans[number // 4 % 2])
    assert admitted <= 200 * (1 + int(monotonic() - began))


async def test_a_cost_is_charged_whole_or_not_at_all(limiter: PlanLimiter) -> None:
    """A route may cost more than one."""
    caller = principal(uuid4())
    await _ask(limiter, caller, cost=7)
    with pytest.raises(RateLimited):
        await _ask(limiter, caller, cost=4)
    await _ask(limiter, caller, cost=3)


async def test_requests_at_once_are_answered_by_few_calls(limiter: PlanLimiter, redis_server: LocalRedis) -> None:
    """A call asks for all that wait; none is made for a tenant while another is under way."""
    caller = principal(uuid4())
    async with aioredis.Redis.from_url(redis_server.url) as client:
        before = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
        await asyncio.gather(*(_ask(limiter, caller, _WIDE) for _ in range(50)))
        assert (await client.info("commandstats"))["cmdstat_evalsha"]["calls"] - before <= 4


async def test_a_warm_request_asks_redis_nothing(limiter: PlanLimiter, redis_server: LocalRedis) -> None:
    """DESIGN decision 5: most requests find a token at hand."""
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


async def test_a_refused_caller_asks_redis_nothing(limiter: PlanLimiter, redis_server: LocalRedis) -> None:
    """IS10: a flood past the limit is answered from memory."""
    caller = principal(uuid4())
    windows = (Window("sustained", 12, 60),)
    assert await _admitted(limiter, caller, 13, windows) == 12
    async with aioredis.Redis.from_url(redis_server.url) as client:
        before = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
        assert await _admitted(limiter, caller, 500, windows) == 0
        assert (await client.info("commandstats"))["cmdstat_evalsha"]["calls"] == before


async def test_a_script_that_redis_forgot_is_sent_again(limiter: PlanLimiter, redis_server: LocalRedis) -> None:
    """TH9: SCRIPT FLUSH, a restart and a failover lose it; nobody notices."""
    caller = principal(uuid4())
    await _ask(limiter, caller)
    async with aioredis.Redis.from_url(redis_server.url) as client:
        await client.script_flush()
    assert (await _ask(limiter, caller))["ratelimit"].startswith('"burst";r=8;')
    assert limiter._storage.check()


async def test_everything_of_a_tenant_lies_in_one_slot_and_ends_by_itself(
    limiter: PlanLimiter, redis_server: LocalRedis
) -> None:
    """IS7, DESIGN decision 10: one hash tag, and no key that stays."""
    tenant = uuid4()
    await _ask(limiter, principal(tenant, (Window("own", 5, 3),), key=7))
    async with aioredis.Redis.from_url(redis_server.url) as client:
        keys = [key async for key in client.scan_iter(match=f"*{tenant.hex}*")]
        assert len(keys) == 2
        assert {re.findall(rb"\{(.*?)\}", key)[0] for key in keys} == {tenant.hex.encode()}
        lives = [await client.pttl(key) for key in keys]
        assert all(0 < life < 65_000 for life in lives)


async def test_a_process_that_stands_still_refuses_nobody_what_was_just_granted(limiter: PlanLimiter) -> None:
    """TH1: a token lives for milliseconds; what was found at one moment is spent as of that moment."""
    account, request = _account(limiter, principal(uuid4())), request_context(http_scope())
    route_to(respond_ok)(request)
    request.account = account
    now = await limiter.lease(request)
    time.sleep(2 * account.windows.grain)  # noqa: ASYNC251 - nothing else may run meanwhile
    limiter.check(request, now)
    with pytest.raises(RateLimited):
        limiter.check(request, monotonic())


async def test_idle_tenants_are_forgotten(limiter: PlanLimiter) -> None:
    """Ten thousand tenants in turn leave nothing behind; what Redis counts of them is still counted."""
    storage, callers = _storage(limiter), [principal(uuid4()) for _ in range(300)]
    await asyncio.gather(*(_ask(limiter, caller) for caller in callers))
    await storage.sweep()
    assert len(storage._accounts) == 300
    await asyncio.sleep(0.05)
    await storage.sweep()
    assert storage._accounts == {}
    assert storage._counters == {}
    assert (await _ask(limiter, callers[0]))["ratelimit"].startswith('"burst";r=8;')


async def test_what_a_forgotten_tenant_did_not_spend_is_given_back(
    limiter: PlanLimiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TH1: what lay ready would count for a day, and a quiet tenant would use its quota up with what it never had."""
    monkeypatch.setattr(throttle_account, "_LONGEST_LIFE", 0.05)
    caller, windows = principal(uuid4()), (Window("burst", 5_000, 1), Window("daily", 5_000, 86_400))
    storage = _storage(limiter)
    for number in range(1, 4):
        fields = await _ask(limiter, caller, windows)
        assert f'"daily";r={5_000 - number};' in fields["ratelimit"]
        async with asyncio.timeout(10):
            while storage._accounts:
                await asyncio.sleep(0.05)
                await storage.sweep()


async def test_a_client_that_leaves_while_it_waits_takes_nothing_with_it(limiter: PlanLimiter) -> None:
    """PX9: the others' call goes on, and the token is had by somebody else."""
    caller = principal(uuid4())
    waiting = [asyncio.ensure_future(_ask(limiter, caller)) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert all(isinstance(answer, dict) for answer in answers[1:])
    assert await _admitted(limiter, caller, 10) in {5, 6}


async def test_without_any_redis_a_worker_gives_its_share_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """TH8: out loud, in the log."""
    async with AsyncExitStack() as stack:
        alone = await _started(stack, None, workers=2)
        assert "throttle_in_process" in capsys.readouterr().out
        assert await _admitted(alone, principal(uuid4()), 10) == 5


async def test_the_environment_cannot_open_the_gate(redis_server: LocalRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """SlowAPI reads RATELIMIT_ENABLED by itself."""
    monkeypatch.setenv("RATELIMIT_ENABLED", "false")
    async with AsyncExitStack() as stack:
        limiter = await _started(stack, redis_server.url)
        assert await _admitted(limiter, principal(uuid4()), 12) == 10


async def _through(stage: ThrottleStage, caller: Principal | None, cost: int = 1) -> RequestContext:
    request = request_context(http_scope())
    request.principal = caller
    route_to(respond_ok, "/v1/export", cost)(request)
    try:
        await run_stage(stage, request)
    except RateLimited as error:
        request.log["refused"] = error.retry_after
    return request


async def test_the_stage_charges_tenants_and_nobody_else(limiter: PlanLimiter) -> None:
    """TH2: public routes and operators pass; the fields are on a refusal too."""
    stage = ThrottleStage(limiter, Plans((Window("burst", 2, 1),)))
    caller = principal(UUID(int=uuid4().int))
    assert (await _through(stage, None)).response_headers == []
    contexts = [await _through(stage, caller) for _ in range(3)]
    assert ["refused" in context.log for context in contexts] == [False, False, True]
    for context, left in zip(contexts, (1, 0, 0), strict=True):
        names = [name for name, _ in context.response_headers]
        assert names == [b"ratelimit-policy", b"ratelimit"]
        assert context.response_headers[1][1].startswith(b'"burst";r=%d;' % left)


async def test_the_stage_charges_what_the_route_costs(limiter: PlanLimiter) -> None:
    """A dear route takes several tokens of every window at once, or none."""
    stage, caller = ThrottleStage(limiter, Plans((Window("burst", 10, 1),))), principal(uuid4())
    answers = [await _through(stage, caller, cost) for cost in (6, 6, 4)]
    assert ["refused" in context.log for context in answers] == [False, True, False]
    assert [context.response_headers[1][1].split(b";")[1] for context in answers] == [b"r=4", b"r=4", b"r=0"]


async def test_a_plan_without_windows_limits_nothing(limiter: PlanLimiter) -> None:
    assert (await _through(ThrottleStage(limiter, Plans(())), principal(uuid4()))).response_headers == []
