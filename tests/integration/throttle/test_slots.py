"""Requests in flight at once: the limiter of one worker, or of several in one process, over a real Redis."""

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
from gateway.throttle.errors import ConcurrencyLimited, RateLimited
from gateway.throttle.limiter import PlanLimiter
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.stage import ThrottleStage
from gateway.throttle.storage import LeasedStorage
from tenants.errors import Forbidden
from tenants.principal import Principal, Window
from tests.asgi import call, http_scope, request_context, respond_ok, route_to, run_stage
from tests.integration.throttle.hammer import Plans, principal

pytestmark = pytest.mark.anyio

_BURST = (Window("burst", 1000, 1),)


class Worker:
    """A limiter and its stage, under a plan that may change."""

    def __init__(self, limiter: PlanLimiter, plans: Plans) -> None:
        self.limiter = limiter
        self.stage = ThrottleStage(limiter, plans)

    async def begin(self, caller: Principal) -> RequestContext:
        """A request that is in flight until ``end``. Raises ConcurrencyLimited and RateLimited."""
        request = request_context(http_scope())
        request.principal = caller
        await run_stage(self.stage, request)
        return request

    def end(self, request: RequestContext) -> None:
        self.limiter.release(request, 200)

    async def begins(self, caller: Principal) -> bool:
        """Whether one more may begin; it ends at once."""
        try:
            self.end(await self.begin(caller))
        except ConcurrencyLimited:
            return False
        return True

    async def until_begins(self, caller: Principal) -> None:
        """Return when one more may begin: a slot that another worker gives back is on its way for a moment."""
        async with asyncio.timeout(5):
            while not await self.begins(caller):  # noqa: ASYNC110 - another worker's timer
                await asyncio.sleep(0.005)


Start = Callable[[Plans], Awaitable[Worker]]


@pytest.fixture
async def start(redis_server: LocalRedis) -> AsyncIterator[Start]:
    """Starts workers as so many processes would."""
    async with AsyncExitStack() as stack:

        async def one(plans: Plans) -> Worker:
            limiter = PlanLimiter(ThrottleSettings(redis_server.url, 2))
            await limiter.start()
            stack.push_async_callback(limiter.close)
            return Worker(limiter, plans)

        yield one


async def test_one_more_than_the_plan_allows_is_refused_whichever_key_and_worker(start: Start) -> None:
    """TH2: the limit is the tenant's, over all its keys, also those with windows of their own."""
    plans, tenant = Plans(_BURST, 3), uuid4()
    workers = [await start(plans), await start(plans)]
    keys = [principal(tenant), principal(tenant, key=2), principal(tenant, (Window("own", 50, 1),), key=3)]
    running = [await workers[number % 2].begin(key) for number, key in enumerate(keys)]
    for worker in workers:
        for key in keys:
            assert not await worker.begins(key)
    assert await workers[0].begins(principal(uuid4()))
    workers[0].end(running[0])
    await workers[1].until_begins(keys[1])


async def test_a_refusal_costs_no_token_and_says_when_to_come_back(start: Start) -> None:
    """TH6: an integer, as long as this tenant's requests take; and the fields of the windows are on it too."""
    worker, caller = await start(Plans((Window("burst", 10, 60),), 1)), principal(uuid4())
    running = await worker.begin(caller)
    remaining = re.compile(rb'"burst";r=(\d+)')
    for _ in range(5):
        request = request_context(http_scope())
        request.principal = caller
        with pytest.raises(ConcurrencyLimited) as refused:
            await run_stage(worker.stage, request)
        assert (refused.value.code, refused.value.retry_after) == ("concurrency_limited", 1)
        fields = dict(request.response_headers)
        assert fields[b"ratelimit-policy"] == b'"burst";q=10;w=60'
        found = remaining.match(fields[b"ratelimit"])
        assert found is not None
        assert int(found[1]) == 9
    running.started -= 36.0  # it took so long, which counts for an eighth
    worker.end(running)
    await worker.begin(caller)
    with pytest.raises(ConcurrencyLimited) as refused:
        await worker.begin(caller)
    assert refused.value.retry_after == 5


async def test_a_request_that_a_window_refuses_takes_no_slot(start: Start) -> None:
    worker, caller = await start(Plans((Window("burst", 2, 60),), 2)), principal(uuid4())
    for _ in range(2):
        worker.end(await worker.begin(caller))
    for _ in range(5):
        with pytest.raises(RateLimited):
            await worker.begin(caller)
    slots = worker.stage._limiter.account(caller, worker.stage._plans.plan("plan"))
    assert slots is not None
    assert slots.slots is not None
    assert slots.slots.used == 0


async def test_what_both_refuse_is_told_of_the_window(start: Start) -> None:
    """TH6: there it is known how long to wait."""
    worker, caller = await start(Plans((Window("burst", 1, 60),), 1)), principal(uuid4())
    await worker.begin(caller)
    for _ in range(3):
        with pytest.raises(RateLimited) as refused:
            await worker.begin(caller)
        assert (refused.value.retry_after or 0) > 30


async def test_a_plan_that_changes_in_flight_forgets_no_slot_and_frees_none_twice(start: Start) -> None:
    """TH7: from a limit to none and back, and to a lower one: what is in flight counts."""
    plans, caller = Plans(_BURST, 2), principal(uuid4())
    worker = await start(plans)
    running = [await worker.begin(caller), await worker.begin(caller)]
    plans.current = Plans(_BURST).current
    unlimited = [await worker.begin(caller) for _ in range(5)]
    plans.current = Plans(_BURST, 2).current
    assert not await worker.begins(caller)
    for request in unlimited:
        worker.end(request)
    assert not await worker.begins(caller)
    plans.current = Plans(_BURST, 1).current
    worker.end(running[0])
    assert not await worker.begins(caller)
    worker.end(running[1])
    await worker.until_begins(caller)


async def test_a_client_that_leaves_while_it_waits_holds_no_slot(start: Start) -> None:
    """PX9."""
    worker, caller = await start(Plans(_BURST, 1)), principal(uuid4())
    waiting = asyncio.ensure_future(worker.begin(caller))
    await asyncio.sleep(0)
    waiting.cancel()
    await worker.until_begins(caller)


async def test_a_worker_that_has_ended_asks_redis_nothing_more(start: Start, redis_server: LocalRedis) -> None:
    """OP1: slots that would be given back in a moment must not open a connection that nobody closes."""
    worker, caller = await start(Plans(_BURST, 2)), principal(uuid4())
    first, _ = await worker.begin(caller), await worker.begin(caller)
    async with aioredis.Redis.from_url(redis_server.url) as client:
        worker.end(first)
        await worker.limiter.close()
        connections = len(await client.client_list())
        await asyncio.sleep(0.1)
        assert len(await client.client_list()) <= connections


async def test_slots_lie_where_the_tenants_counters_lie_and_end_by_themselves(
    start: Start, redis_server: LocalRedis
) -> None:
    """IS7, DESIGN decision 10: one hash tag, and no key that stays."""
    worker, tenant = await start(Plans(_BURST, 5)), uuid4()
    await worker.begin(principal(tenant))
    async with aioredis.Redis.from_url(redis_server.url) as client:
        keys = [key async for key in client.scan_iter(match=f"*{tenant.hex}*")]
        assert {re.findall(rb"\{(.*?)\}", key)[0] for key in keys} == {tenant.hex.encode()}
        assert len(keys) == 2
        assert all([0 < await client.pttl(key) < 40_000 for key in keys])


async def test_idle_tenants_are_forgotten_and_busy_ones_are_not(start: Start) -> None:
    """A request may run for longer than its tenant's account is kept."""
    plans = Plans((Window("burst", 90, 1),), 4)  # so few that no tokens lie ready
    worker, busy = await start(plans), principal(uuid4())
    storage = worker.limiter._storage
    assert isinstance(storage, LeasedStorage)
    running = [await worker.begin(busy) for _ in range(4)]
    for _ in range(20):
        assert await worker.begins(principal(uuid4()))
    async with asyncio.timeout(10):
        while len(storage._slots) > 1:
            await asyncio.sleep(0.1)
            await storage.sweep()
    assert not await worker.begins(busy)
    worker.end(running[0])
    await worker.until_begins(busy)


async def _crashes(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise RuntimeError("a fault of ours")


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
async def test_the_slot_is_free_again_however_the_request_ended(start: Start, app: ASGIApp) -> None:
    """Answered, crashed, broken off, refused further on, its client gone, cancelled."""
    worker, caller = await start(Plans(_BURST, 1)), principal(uuid4())
    gate = _gate(worker, app, caller)
    for _ in range(3):
        with capture_logs(), suppress(ResponseCutShortError, TimeoutError):
            async with asyncio.timeout(0.05 if app is _waits else 5):
                await call(gate, http_scope())
        assert await worker.begins(caller)


async def test_the_answer_is_a_problem_document_and_the_slot_is_free_before_its_last_byte(start: Start) -> None:
    """A client that sends its next request as soon as it has the answer finds its slot free."""
    worker, caller = await start(Plans(_BURST, 1)), principal(UUID(int=uuid4().int))
    gate, answers = _gate(worker, respond_ok, caller), []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            answers.append(await call(gate, http_scope()))

    await gate(http_scope(), _never, send)
    assert [answer.status for answer in answers] == [200]
    running = await worker.begin(caller)
    refused = await call(gate, http_scope())
    assert (refused.status, refused.json()["code"]) == (429, "concurrency_limited")
    assert refused.header("content-type") == "application/problem+json"
    assert refused.header("retry-after") == "1"
    worker.end(running)


async def _never() -> Message:
    raise AssertionError("nobody reads the body")
