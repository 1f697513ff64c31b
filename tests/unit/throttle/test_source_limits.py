"""Public routes are limited by source, before their body is read, also on an included router."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import APIRouter as PlainRouter
from fastapi import FastAPI, Response
from pydantic import BaseModel, ConfigDict
from structlog.testing import CapturingLogger

from gateway.authorization.guards import public
from gateway.gate.access_log import AccessLog
from gateway.gate.gate import Gate
from gateway.problems.documents import Problems
from gateway.request.route import Quota
from gateway.request.source import SourceReader
from gateway.routing.api_router import APIRouter
from gateway.routing.routes import routes_of
from gateway.routing.stage import RoutingStage
from gateway.routing.table import RouteTable
from gateway.routing.terms import terms
from gateway.throttle.limiter import RequestLimiter
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.stage import ThrottleStage
from tests.asgi import HOST, call, http_scope
from tests.asgi import Response as Answer
from tests.gated_app import PUBLIC_URL
from tests.integration.throttle.load_worker import Plans

pytestmark = pytest.mark.anyio

_MINUTE = 60  # seconds
_JSON = (b"content-type", b"application/json")
_POLICY = '"source";q=3;w=60'


class SignIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: str


router = APIRouter()


@router.post("/sign-in")
@terms(public, per_source=Quota(3, _MINUTE))
async def sign_in(body: SignIn) -> Response:
    return Response(body.email)


@router.get("/other")
@terms(public, per_source=Quota(100, _MINUTE))
async def other() -> Response:
    return Response()


@router.get("/free")
@terms(public)
async def free() -> Response:
    return Response()


class Client:
    """A gate with routing and throttle only, in front of ``router`` as others include it."""

    def __init__(self, workers: int = 1) -> None:
        outer, app = PlainRouter(prefix="/v1"), FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        outer.include_router(router)
        app.include_router(outer)
        self.limiter = RequestLimiter(ThrottleSettings(workers=workers))
        self._gate = Gate(
            app,
            stages=(RoutingStage(RouteTable(routes_of(app))), ThrottleStage(self.limiter, Plans(()))),
            problems=Problems(PUBLIC_URL),
            source=SourceReader(),
            access=AccessLog(CapturingLogger()),
        )
        self.bodies_read = 0

    async def ask(self, method: str, path: str, body: bytes = b"", source: str = "192.0.2.1") -> Answer:
        scope = http_scope(method, path, headers=(HOST, _JSON), client=(source, 4711))
        answer = await call(self._counted, scope, [body])
        assert answer.ended
        return answer

    async def sign_in(self, source: str = "192.0.2.1", body: bytes = b'{"email": "a@b.example"}') -> Answer:
        return await self.ask("POST", "/v1/sign-in", body, source)

    async def _counted(self, scope: Any, receive: Any, send: Any) -> None:
        async def counted() -> Any:
            self.bodies_read += 1
            return await receive()

        await self._gate(scope, counted, send)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    client = Client()
    yield client
    await client.limiter.close()


async def test_a_route_of_an_included_router_is_limited(client: Client) -> None:
    """TH5, TH6: the route is counted, not the URL, and the limit holds on an included router."""
    answers = [await client.sign_in() for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].json()["code"] == "rate_limited"
    assert 1 <= int(answers[-1].header("retry-after") or 0) <= _MINUTE + 1


async def test_a_limited_public_route_has_the_fields_of_every_limit(client: Client) -> None:
    """TH6: RateLimit-Policy and RateLimit, on admissions and refusals; a route without a limit has none."""
    answers = [await client.sign_in() for _ in range(4)]
    assert {answer.header("ratelimit-policy") for answer in answers} == {_POLICY}
    assert [answer.header("ratelimit") for answer in answers] == [f'"source";r={left};t=60' for left in (2, 1, 0, 0)]
    assert (await client.ask("GET", "/v1/free")).header("ratelimit-policy") is None


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"email": NaN}', b"[" * 900])
async def test_requests_are_counted_before_their_bodies_are_read(client: Client, body: bytes) -> None:
    """TH11: also those that are not acceptable; beyond the limit no body is read."""
    answers = [await client.sign_in(body=body) for _ in range(3)]
    assert all(answer.status in {400, 422} for answer in answers)
    read = client.bodies_read
    assert [(await client.sign_in(body=body)).status for _ in range(3)] == [429] * 3
    assert client.bodies_read == read


async def test_another_source_and_another_route_have_their_own_limit(client: Client) -> None:
    """TH3: an IPv4 address is a source, and so is the /64 of an IPv6 one."""
    for source in ("192.0.2.1", "2001:db8::1"):
        assert [(await client.sign_in(source)).status for _ in range(4)] == [200, 200, 200, 429]
    assert (await client.sign_in("192.0.2.2")).status == 200
    assert (await client.sign_in("2001:db8::2")).status == 429
    assert (await client.sign_in("2001:db8:0:1::1")).status == 200
    assert (await client.ask("GET", "/v1/other")).status == 200


async def test_each_worker_without_redis_enforces_its_share() -> None:
    """TH8: never the whole limit in each worker."""
    client = Client(workers=3)
    assert [(await client.sign_in()).status for _ in range(2)] == [200, 429]
    await client.limiter.close()


async def test_two_applications_in_one_process_have_separate_counters(client: Client) -> None:
    """A router belongs to a module, its counters to the application."""
    another = Client()
    for _ in range(4):
        await client.sign_in()
    assert (await another.sign_in()).status == 200
    await another.limiter.close()


async def test_the_environment_cannot_turn_limits_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """SlowAPI reads RATELIMIT_ENABLED by itself."""
    monkeypatch.setenv("RATELIMIT_ENABLED", "false")
    client = Client()
    assert [(await client.sign_in()).status for _ in range(4)] == [200, 200, 200, 429]
    await client.limiter.close()
