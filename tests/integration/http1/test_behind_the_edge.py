"""What the protocol leaves to the stages and to FastAPI, over a real socket (PX5, PX8, DA2)."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request, Response

from gateway.authorization.guards import public
from gateway.routing.api_router import APIRouter
from gateway.routing.terms import terms
from tests.fixtures.http1 import EdgeServer, serving
from tests.http1_app import behind_the_edge
from tests.integration.http1.raw_requests import BODIES
from tests.raw_http import connected


def _register(app: FastAPI) -> None:
    router = APIRouter()

    @router.post("/read")
    @terms(public)
    async def read(request: Request) -> dict[str, int]:
        return {"size": len(await request.body())}

    @router.get("/hello")
    @terms(public)
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    @router.get("/cached")
    @terms(public)
    async def cached(response: Response) -> dict[str, str]:
        response.headers["Cache-Control"] = "max-age=60"
        return {"hello": "world"}

    app.include_router(router)


@pytest.fixture(scope="module")
def edge() -> Iterator[EdgeServer]:
    with serving(behind_the_edge(_register)) as server:
        yield server


def test_an_answer_has_the_security_headers_unless_it_sets_its_own(edge: EdgeServer) -> None:
    """CO2."""
    for path, caching in ((b"/hello", "no-store"), (b"/cached", "max-age=60")):
        with connected(edge.port) as client:
            client.send(b"GET " + path + b" HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
            headers = client.answer().headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert headers["cache-control"] == caching


@pytest.mark.parametrize(("data", "status"), BODIES.values(), ids=BODIES.keys())
def test_a_bad_body_is_a_problem_like_any_other(edge: EdgeServer, data: bytes, status: int) -> None:
    """PX5, DA2: an endpoint that reads its body need know nothing of how bodies can be wrong."""
    with connected(edge.port) as client:
        client.send(data)
        answer = client.answer()
        assert (answer.status, answer.problem["status"]) == (status, status)
        assert answer.problem["request_id"] == answer.headers["x-request-id"]
        assert client.closed()


def test_a_body_that_comes_too_slowly_is_one_too(edge: EdgeServer) -> None:
    """PX8."""
    with connected(edge.port) as client:
        client.send(b"POST /read HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 10\r\n\r\nhello")
        assert edge.settle(lambda: edge.only._arrived == 5)
        edge.soon(edge.only.on_silence)
        answer = client.answer()
        assert (answer.status, answer.problem["code"]) == (408, "request_timeout")
        assert client.closed()


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /hello HTTP/1.1", 200),
        (b"HEAD /hello HTTP/1.1", 200),
        (b"GET http://gateway.test/hello HTTP/1.1", 200),
        (b"OPTIONS * HTTP/1.1", 404),
        (b"TRACE /hello HTTP/1.1", 405),
        (b"GET //hello HTTP/1.1", 404),
    ],
)
def test_every_form_of_request_that_passes_is_answered(edge: EdgeServer, line: bytes, status: int) -> None:
    """PX5: none of them ends in a fault of ours."""
    with connected(edge.port) as client:
        client.send(line + b"\r\nHost: gateway.test\r\n\r\n")
        assert client.answer(line.split()[0].decode()).status == status
