"""The throttle stage: which requests it charges, and how much."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from gateway.development.redis import LocalRedis
from gateway.request.context import RequestContext
from gateway.request.route import PUBLIC, Budget, Route, Terms
from gateway.throttle.errors import ConcurrencyLimited
from gateway.throttle.limiter import RequestLimiter
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.stage import ThrottleStage
from tenants.errors import RateLimited
from tenants.principal import Principal, PrincipalKind, Window
from tests.asgi import http_scope, request_context, respond_ok, run_stage
from tests.integration.throttle.load_worker import PATIENT, Plans, principal

pytestmark = pytest.mark.anyio


_MANAGEMENT = ThrottleSettings(workers=2, management_quota=7, principal_quota=3)


@pytest.fixture
async def limiter(redis_server: LocalRedis) -> AsyncIterator[RequestLimiter]:
    async with _started(ThrottleSettings(redis_server.url, 2, PATIENT)) as limiter:
        yield limiter


@pytest.fixture
async def managed(redis_server: LocalRedis) -> AsyncIterator[tuple[RequestLimiter, RequestLimiter]]:
    """Two workers whose management windows are small."""
    settings = replace(_MANAGEMENT, redis_url=redis_server.url)
    async with _started(settings) as one, _started(settings) as other:
        yield one, other


@asynccontextmanager
async def _started(settings: ThrottleSettings) -> AsyncIterator[RequestLimiter]:
    limiter = RequestLimiter(settings)
    await limiter.start()
    yield limiter
    await limiter.close()


async def _managed(stage: ThrottleStage, caller: Principal, times: int) -> int:
    """How many of these management requests are admitted."""
    return sum(["refused" not in (await _through(stage, caller, 1, Budget.MANAGEMENT)).log for _ in range(times)])


async def _through(
    stage: ThrottleStage, caller: Principal | None, cost: int = 1, budget: Budget = Budget.PLAN
) -> RequestContext:
    request = request_context(http_scope())
    request.principal = caller
    request.route = Route("GET", "/v1/export", Terms(PUBLIC, cost, budget=budget), respond_ok)
    try:
        await run_stage(stage, request)
    except (RateLimited, ConcurrencyLimited) as error:
        request.log["refused"] = error.retry_after
    return request


async def test_only_requests_of_tenants_are_charged(limiter: RequestLimiter) -> None:
    """TH2: public routes and operators pass; the header fields are on refusals too."""
    stage = ThrottleStage(limiter, Plans((Window("burst", 2, 1),)))
    caller = principal(UUID(int=uuid4().int))
    assert (await _through(stage, None)).response_headers == []
    contexts = [await _through(stage, caller) for _ in range(3)]
    assert ["refused" in context.log for context in contexts] == [False, False, True]
    for context, left in zip(contexts, (1, 0, 0), strict=True):
        names = [name for name, _ in context.response_headers]
        assert names == [b"ratelimit-policy", b"ratelimit"]
        assert context.response_headers[1][1].startswith(b'"burst";r=%d;' % left)


async def test_a_request_is_charged_the_cost_of_its_route(limiter: RequestLimiter) -> None:
    """An expensive route takes several tokens of every window at once, or none."""
    stage, caller = ThrottleStage(limiter, Plans((Window("burst", 10, 1),))), principal(uuid4())
    answers = [await _through(stage, caller, cost) for cost in (6, 6, 4)]
    assert ["refused" in context.log for context in answers] == [False, True, False]
    assert [context.response_headers[1][1].split(b";")[1] for context in answers] == [b"r=4", b"r=4", b"r=0"]


async def test_a_plan_without_windows_limits_nothing(limiter: RequestLimiter) -> None:
    assert (await _through(ThrottleStage(limiter, Plans(())), principal(uuid4()))).response_headers == []


async def test_management_requests_are_never_charged_to_the_plan(limiter: RequestLimiter) -> None:
    """TH10: neither its windows nor its permits refuse them, and they use up neither."""
    stage, caller = ThrottleStage(limiter, Plans((Window("burst", 2, 60),), 1)), principal(uuid4())
    for _ in range(5):
        await _through(stage, caller)
    assert "refused" in (await _through(stage, caller)).log
    context = await _through(stage, caller, 1, Budget.MANAGEMENT)
    assert "refused" not in context.log
    policy, left = dict(context.response_headers).values()
    assert policy == b'"tenant";q=1200;w=60, "principal";q=120;w=60'
    assert left.startswith(b'"tenant";r=1199;t=60, "principal";r=119;')
    other = principal(uuid4())
    assert await _managed(stage, other, 20) == 20
    assert "refused" not in (await _through(stage, other)).log


async def test_management_requests_have_a_window_by_tenant_and_one_by_principal(
    managed: tuple[RequestLimiter, RequestLimiter],
) -> None:
    """TH10: over all workers; one principal cannot use up the tenant's window, nor its keys its people's."""
    one, other = (ThrottleStage(each, Plans(())) for each in managed)
    tenant = uuid4()
    leaked, second, third = (principal(tenant, key=number) for number in (1, 2, 3))
    assert await _managed(one, leaked, 3) + await _managed(other, leaked, 20) == 3
    assert await _managed(other, second, 5) == 3
    assert await _managed(one, third, 5) == 1, "7 for all keys"
    person = replace(leaked, kind=PrincipalKind.USER, id=UUID(int=4))
    assert await _managed(one, person, 5) == 3
    assert await _managed(one, principal(uuid4()), 5) == 3


async def test_a_family_counts_as_one_principal(managed: tuple[RequestLimiter, RequestLimiter]) -> None:
    """TH10, ID16: however many keys a key makes."""
    stage, tenant = ThrottleStage(managed[0], Plans(())), uuid4()
    family = [replace(principal(tenant, key=number), family="made-by-1") for number in range(10, 20)]
    assert sum([await _managed(stage, each, 1) for each in family]) == 3
    assert await _managed(stage, principal(tenant, key=1), 5) == 3, "their maker is not one of them"


async def test_without_redis_each_worker_admits_its_share_of_management() -> None:
    """TH8, TH10."""
    async with _started(_MANAGEMENT) as alone:
        assert await _managed(ThrottleStage(alone, Plans(())), principal(uuid4()), 5) == 3 // 2


async def test_keys_that_the_same_limits_bind_share_them(limiter: RequestLimiter) -> None:
    """ID16, TH2: also with limits of their own, which come on top."""
    stage, tenant = ThrottleStage(limiter, Plans((Window("burst", 1000, 60),))), uuid4()
    maker = Window("own", 5, 60, "maker")
    parent, child, tighter = (
        replace(principal(tenant, key=number), windows=windows)
        for number, windows in ((1, (maker,)), (2, (maker,)), (3, (Window("own", 2, 60, "tighter"), maker)))
    )
    assert ["refused" in (await _through(stage, tighter)).log for _ in range(3)] == [False, False, True]
    assert ["refused" in (await _through(stage, child)).log for _ in range(2)] == [False, False]
    assert ["refused" in (await _through(stage, parent)).log for _ in range(2)] == [False, True]
    assert "refused" in (await _through(stage, child)).log
