"""The concurrency limit: the limiters of one or several workers in one process, over a real Redis."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from uuid import UUID, uuid4

import pytest
import redis.asyncio as aioredis
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.testing import CapturingLogger, capture_logs

from gateway.development.redis import LocalRedis
from gateway.gate.access_log import AccessLog
from gateway.gate.gate import Gate, ResponseCutShortError
from gateway.problems.documents import Problems
from gateway.request.context import RequestContext
from gateway.request.source import SourceReader
from gateway.throttle.errors import ConcurrencyLimited
from gateway.throttle.limiter import RequestLimiter
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.stage import ThrottleStage
from gateway.throttle.storage import LeasedStorage
from tenants.errors import Forbidden, RateLimited
from tenants.principal import Principal, Window
from tests.asgi import call, end, http_scope, request_context, respond_ok, route_to, run_stage
from tests.integration.throttle.load_worker import PATIENT, Plans, principal

pytestmark = pytest.mark.anyio

_BURST = (Window("burst", 1000, 1),)


class Worker:
    """A limiter and its stage under a plan that may change."""

    def __init__(self, limiter: RequestLimiter, plans: Plans) -> None:
        self.limiter = limiter
        self.stage = ThrottleStage(limiter, plans)

    async def begin(self, caller: Principal) -> RequestContext:
        """Begin a request that is in flight until ``end``. Raises ConcurrencyLimited and RateLimited."""
        request = request_context(http_scope())
        request.principal = caller
        await run_stage(self.stage, request)
        return request

    def end(self, request: RequestContext) -> None:
        end(request)

    async def can_begin(self, caller: Principal) -> bool:
        """True if one more request is admitted; it ends at once."""
        try:
            self.end(await self.begin(caller))
        except ConcurrencyLimited:
            return False
        return True

    async def until_can_begin(self, caller: Principal) -> None:
        """Return when one more request is admitted: a permit that another worker returns takes a moment."""
        async with asyncio.timeout(5):
            while not await self.can_begin(caller):  # noqa: ASYNC110 - another worker's timer
                await asyncio.sleep(0.005)


Start = Callable[[Plans], Awaitable[Worker]]


@pytest.fixture
async def start(redis_server: LocalRedis) -> AsyncIterator[Start]:
    """Starts workers as separate processes would."""
    async with AsyncExitStack() as stack:

        async def one(plans: Plans) -> Worker:
            limiter = RequestLimiter(ThrottleSettings(redis_server.url, 2, PATIENT))
            await limiter.start()
            stack.push_async_callback(limiter.close)
            return Worker(limiter, plans)

        yield one


async def test_requests_beyond_the_limit_are_refused_for_every_key_and_worker(start: Start) -> None:
    """TH2: the limit covers all keys of the tenant, also those with their own windows."""
    plans, tenant = Plans(_BURST, 3), uuid4()
    workers = [await start(plans), await start(plans)]
    keys = [principal(tenant), principal(tenant, key=2), principal(tenant, (Window("own", 50, 1),), key=3)]
    running = [await workers[number % 2].begin(key) for number, key in enumerate(keys)]
    for worker in workers:
        for key in keys:
            assert not await worker.can_begin(key)
    assert await workers[0].can_begin(principal(uuid4()))
    workers[0].end(running[0])
    await workers[1].until_can_begin(keys[1])


async def test_a_refusal_costs_no_token_and_says_when_to_retry(start: Start) -> None:
    """TH6: an integer, the typical duration of the tenant's requests, beside the fields of the windows."""
    worker, caller = await start(Plans((Window("burst", 10, 60),), 1)), principal(uuid4())
    running = await worker.begin(caller)
    remaining = re.compile(rb'"burst";r=(\d+)')
    for _ in range(5):
        request = request_context(http_scope())
        request.principal = caller
        with pytest.raises(ConcurrencyLimited) as refused:
            await run_stage(worker.stage, request)
        assert (refused.value.code, refused.value.retry_after) == ("concurrency_limited", 1)
        assert refused.value.message == "Concurrency limit of 1 reached. Retry when a request completes."
        fields = dict(request.response_headers)
        assert fields[b"ratelimit-policy"] == b'"burst";q=10;w=60'
        found = remaining.match(fields[b"ratelimit"])
        assert found is not None
        assert int(found[1]) == 9
    running.started -= 36.0  # the request took 36 s, which count for an eighth
    worker.end(running)
    await worker.begin(caller)
    with pytest.raises(ConcurrencyLimited) as refused:
        await worker.begin(caller)
    assert refused.value.retry_after == 5


async def test_a_request_that_a_window_refuses_takes_no_permit(start: Start) -> None:
    worker, caller = await start(Plans((Window("burst", 2, 60),), 2)), principal(uuid4())
    for _ in range(2):
        worker.end(await worker.begin(caller))
    for _ in range(5):
        with pytest.raises(RateLimited):
            await worker.begin(caller)
    account = worker.stage._limiter.plan_account(caller, worker.stage._plans.plan("plan"))
    assert account is not None
    assert account.permits is not None
    assert account.permits.used == 0


async def test_a_request_that_both_refuse_is_refused_by_the_window(start: Start) -> None:
    """TH6: the wait of a window is known."""
    worker, caller = await start(Plans((Window("burst", 1, 60),), 1)), principal(uuid4())
    await worker.begin(caller)
    for _ in range(3):
        with pytest.raises(RateLimited) as refused:
            await worker.begin(caller)
        assert (refused.value.retry_after or 0) > 30


async def test_a_plan_change_with_requests_in_flight_loses_no_permit_and_frees_none_twice(start: Start) -> None:
    """TH7: from a limit to none and back, and to a lower one: requests in flight count."""
    plans, caller = Plans(_BURST, 2), principal(uuid4())
    worker = await start(plans)
    running = [await worker.begin(caller), await worker.begin(caller)]
    plans.current = Plans(_BURST).current
    unlimited = [await worker.begin(caller) for _ in range(5)]
    plans.current = Plans(_BURST, 2).current
    assert not await worker.can_begin(caller)
    for request in unlimited:
        worker.end(request)
    assert not await worker.can_begin(caller)
    plans.current = Plans(_BURST, 1).current
    worker.end(running[0])
    assert not await worker.can_begin(caller)
    worker.end(running[1])
    await worker.until_can_begin(caller)


async def test_a_client_that_disconnects_while_it_waits_holds_no_permit(start: Start) -> None:
    """PX9."""
    worker, caller = await start(Plans(_BURST, 1)), principal(uuid4())
    waiting = asyncio.ensure_future(worker.begin(caller))
    await asyncio.sleep(0)
    waiting.cancel()
    await worker.until_can_begin(caller)


async def test_a_stopped_worker_opens_no_connection(start: Start, redis_server: LocalRedis) -> None:
    """OP1: a scheduled report must not open a connection that is never closed."""
    worker, caller = await start(Plans(_BURST, 2)), principal(uuid4())
    first, _ = await worker.begin(caller), await worker.begin(caller)
    async with aioredis.Redis.from_url(redis_server.url) as client:
        worker.end(first)
        await worker.limiter.close()
        connections = len(await client.client_list())
        await asyncio.sleep(0.1)
        assert len(await client.client_list()) <= connections


async def test_permits_share_the_tenants_hash_tag_and_expire(start: Start, redis_server: LocalRedis) -> None:
    """IS7: one hash tag for Redis Cluster, and no key without a TTL."""
    worker, tenant = await start(Plans(_BURST, 5)), uuid4()
    await worker.begin(principal(tenant))
    async with aioredis.Redis.from_url(redis_server.url) as client:
        keys = [key async for key in client.scan_iter(match=f"*{tenant.hex}*")]
        assert {re.findall(rb"\{(.*?)\}", key)[0] for key in keys} == {tenant.hex.encode()}
        assert len(keys) == 2
        assert all([0 < await client.pttl(key) < 40_000 for key in keys])


async def test_idle_tenants_are_forgotten_and_busy_ones_are_not(start: Start) -> None:
    """A request may run for longer than its idle tenant is remembered."""
    plans = Plans((Window("burst", 90, 1),), 4)  # so few that no tokens are held in reserve
    worker, busy = await start(plans), principal(uuid4())
    storage = worker.limiter._storage
    assert isinstance(storage, LeasedStorage)
    running = [await worker.begin(busy) for _ in range(4)]
    for _ in range(20):
        assert await worker.can_begin(principal(uuid4()))
    async with asyncio.timeout(10):
        while len(storage._permits) > 1:
            await asyncio.sleep(0.1)
            await storage.sweep()
    assert not await worker.can_begin(busy)
    worker.end(running[0])
    await worker.until_can_begin(busy)


async def _crashes(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise RuntimeError("an internal error")


async def _breaks_off(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise RuntimeError("lost the rest")


async def _refuses(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise Forbidden


async def _waits(_scope: Scope, _receive: Receive, _send: Send) -> None:
    await asyncio.Event().wait()


async def _loses_its_client(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise ConnectionResetError


def _gate(worker: Worker, app: ASGIApp, caller: Principal) -> Gate:
    def know(request: RequestContext) -> None:
        request.principal = caller

    return Gate(
        app,
        stages=(route_to(app), know, worker.stage),
        problems=Problems("https://gateway.test"),
        source=SourceReader(),
        access=AccessLog(CapturingLogger()),
    )


@pytest.mark.parametrize("app", [respond_ok, _crashes, _breaks_off, _refuses, _loses_its_client, _waits])
async def test_the_permit_is_free_again_however_the_request_ends(start: Start, app: ASGIApp) -> None:
    """Completed, crashed, cut short, refused by a later stage, client disconnected, cancelled."""
    worker, caller = await start(Plans(_BURST, 1)), principal(uuid4())
    gate = _gate(worker, app, caller)
    for _ in range(3):
        with capture_logs(), suppress(ResponseCutShortError, TimeoutError):
            async with asyncio.timeout(0.05 if app is _waits else 5):
                await call(gate, http_scope())
        assert await worker.can_begin(caller)


async def test_the_refusal_is_a_problem_document_and_the_permit_is_held_for_the_last_byte(start: Start) -> None:
    """LD3: until ``send`` has returned, which it does when the kernel has the response; then it is free at once."""
    worker, caller = await start(Plans(_BURST, 1)), principal(UUID(int=uuid4().int))
    gate, answers = _gate(worker, respond_ok, caller), []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            answers.append(await call(gate, http_scope()))

    await gate(http_scope(), _never, send)
    running = await worker.begin(caller)
    (refused,) = answers
    assert (refused.status, refused.json()["code"]) == (429, "concurrency_limited")
    assert refused.header("content-type") == "application/problem+json"
    assert refused.header("retry-after") == "1"
    worker.end(running)


async def _never() -> Message:
    raise AssertionError("the body is not read")
