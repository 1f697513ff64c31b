"""Public routes are limited by source, also on an included router, where SlowAPI's middlewares fail open."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from gateway.throttle.public import PublicLimiter, per_sender
from tenants.errors import RateLimited

pytestmark = pytest.mark.anyio

router = APIRouter()


@router.post("/sign-in")
@per_sender(3, seconds=60)
async def sign_in(request: Request) -> Response:
    return JSONResponse({"path": request.url.path})


@router.get("/other")
@per_sender(100, seconds=60)
async def other(request: Request) -> dict[str, str]:
    return {"path": request.url.path}


def _sender(request: Request) -> str:
    return request.headers["x-sender"]


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RateLimited)
    return JSONResponse({"code": error.code, "retry_after": error.retry_after}, status_code=429)


@asynccontextmanager
async def _client(workers: int = 1) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.state.public_limiter = PublicLimiter(_sender, workers)
    app.add_exception_handler(RateLimited, _refuse)
    app.include_router(router, prefix="/v1")
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        yield client


async def _sign_in(client: httpx.AsyncClient, sender: str = "192.0.2.1") -> httpx.Response:
    return await client.post("/v1/sign-in", headers={"x-sender": sender})


async def test_a_route_of_an_included_router_is_limited() -> None:
    """TH5: the endpoint is counted, not the URL, and the limit holds on an included router."""
    async with _client() as client:
        answers = [await _sign_in(client) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].json()["code"] == "rate_limited"
    assert 1 <= answers[-1].json()["retry_after"] <= 60


async def test_another_source_and_another_route_have_their_own_limit() -> None:
    """TH3: the caller of the limiter defines what one source is."""
    async with _client() as client:
        for _ in range(4):
            await _sign_in(client)
        assert (await _sign_in(client, "192.0.2.2")).status_code == 200
        assert (await client.get("/v1/other", headers={"x-sender": "192.0.2.1"})).status_code == 200


async def test_each_worker_enforces_its_share() -> None:
    """TH8: in-process counters never admit the whole limit in each worker."""
    async with _client(workers=3) as client:
        assert [(await _sign_in(client)).status_code for _ in range(2)] == [200, 429]


async def test_two_applications_in_one_process_have_separate_counters() -> None:
    """A router belongs to a module, its counters to the application."""
    async with _client() as one, _client() as two:
        for _ in range(4):
            await _sign_in(one)
        assert (await _sign_in(two)).status_code == 200


async def test_the_environment_cannot_turn_limits_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """SlowAPI reads RATELIMIT_ENABLED by itself."""
    monkeypatch.setenv("RATELIMIT_ENABLED", "false")
    async with _client() as client:
        assert [(await _sign_in(client)).status_code for _ in range(4)] == [200, 200, 200, 429]
