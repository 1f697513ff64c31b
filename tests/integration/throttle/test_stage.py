"""The throttle stage: which requests it charges, and how much."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from gateway.development.redis import LocalRedis
from gateway.request.context import RequestContext
from gateway.throttle.limiter import PlanLimiter
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.stage import ThrottleStage
from tenants.errors import RateLimited
from tenants.principal import Principal, Window
from tests.asgi import http_scope, request_context, respond_ok, route_to, run_stage
from tests.integration.throttle.load_worker import Plans, principal

pytestmark = pytest.mark.anyio


@pytest.fixture
async def limiter(redis_server: LocalRedis) -> AsyncIterator[PlanLimiter]:
    limiter = PlanLimiter(ThrottleSettings(redis_server.url, 2))
    await limiter.start()
    yield limiter
    await limiter.close()


async def _through(stage: ThrottleStage, caller: Principal | None, cost: int = 1) -> RequestContext:
    request = request_context(http_scope())
    request.principal = caller
    route_to(respond_ok, "/v1/export", cost)(request)
    try:
        await run_stage(stage, request)
    except RateLimited as error:
        request.log["refused"] = error.retry_after
    return request


async def test_only_requests_of_tenants_are_charged(limiter: PlanLimiter) -> None:
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


async def test_a_request_is_charged_the_cost_of_its_route(limiter: PlanLimiter) -> None:
    """An expensive route takes several tokens of every window at once, or none."""
    stage, caller = ThrottleStage(limiter, Plans((Window("burst", 10, 1),))), principal(uuid4())
    answers = [await _through(stage, caller, cost) for cost in (6, 6, 4)]
    assert ["refused" in context.log for context in answers] == [False, True, False]
    assert [context.response_headers[1][1].split(b";")[1] for context in answers] == [b"r=4", b"r=4", b"r=0"]


async def test_a_plan_without_windows_limits_nothing(limiter: PlanLimiter) -> None:
    assert (await _through(ThrottleStage(limiter, Plans(())), principal(uuid4()))).response_headers == []
