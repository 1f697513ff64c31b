"""The gate and FastAPI behind the HTTP/1.1 server, over a real socket (PX5, PX8, DA2)."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request, Response

from gateway.authorization.guards import public
from gateway.http1.rules import Rule
from gateway.problems.errors import RequestTimeout, UnsupportedContentCoding
from gateway.routing.api_router import APIRouter
from gateway.routing.terms import terms
from tests.fixtures.http1 import Http1Server, run_server
from tests.gated_app import gated_app
from tests.integration.http1.raw_requests import BODIES
from tests.raw_http import connected


def _register(app: FastAPI) -> None:
    router = APIRouter()

    @router.post("/read")
    @terms(public)
    async def read(request: Request) -> dict[str, int]:
        return {"size": len(await request.body())}

    @router.post("/read-directly")
    @terms(public)
    async def read_directly(request: Request) -> Response:
        return Response(str(len(await request.body())))

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
def server() -> Iterator[Http1Server]:
    with run_server(gated_app(_register)) as server:
        yield server


def test_a_response_has_the_security_headers_that_it_does_not_set(server: Http1Server) -> None:
    """CO2."""
    for path, caching in ((b"/hello", "no-store"), (b"/cached", "max-age=60")):
        with connected(server.port) as client:
            client.send(b"GET " + path + b" HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
            headers = client.response().headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert headers["cache-control"] == caching


@pytest.mark.parametrize(("data", "expected"), BODIES.values(), ids=BODIES.keys())
def test_an_invalid_body_gets_a_problem_document(server: Http1Server, data: bytes, expected: Rule | int) -> None:
    """PX5, DA2: endpoints need no error handling for bodies."""
    status = 400 if isinstance(expected, Rule) else expected
    with connected(server.port) as client:
        client.send(data)
        response = client.response()
        assert (response.status, response.problem["status"]) == (status, status)
        assert response.problem["request_id"] == response.headers["x-request-id"]
        if isinstance(expected, Rule):
            assert response.problem["detail"] == f"The request is not valid HTTP. {expected.value}"
        assert client.closed()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 415),
        (b"Content-Encoding: br\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 415),
        (b"Content-Encoding: identity, gzip\r\nContent-Length: 2\r\n\r\n{}", 415),
        (b"Content-Encoding: gzip\r\nContent-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", 415),
        (b"Content-Encoding:\r\nContent-Length: 2\r\n\r\n{}", 415),
        (b"Content-Encoding: Identity\r\nContent-Length: 2\r\n\r\n{}", 200),
        (b"Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", 200),
        (b"Content-Encoding: gzip\r\n\r\n", 200),
    ],
)
@pytest.mark.parametrize("path", [b"/read", b"/read-directly"])
def test_an_encoded_body_is_refused_unread(server: Http1Server, path: bytes, sent: bytes, status: int) -> None:
    """RFC 9110 section 15.5.16, DA2: with what the server accepts; a body that only claims a coding is none of ours."""
    with connected(server.port) as client:
        client.send(b"POST " + path + b" HTTP/1.1\r\nHost: gateway.test\r\n" + sent)
        response = client.response()
        assert response.status == status
        if status == 415:
            assert response.problem["code"] == "unsupported_media_type"
            assert response.headers["accept-encoding"] == "identity"
            assert response.problem["detail"] == UnsupportedContentCoding.message


def test_a_slow_body_gets_408(server: Http1Server) -> None:
    """PX8."""
    with connected(server.port) as client:
        client.send(b"POST /read HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 10\r\n\r\nhello")
        assert server.wait_until(lambda: server.received == 5)
        server.call_soon(lambda: server.connection.abort_body(RequestTimeout()))
        response = client.response()
        assert (response.status, response.problem["code"]) == (408, "request_timeout")
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
def test_every_form_of_request_target_is_served(server: Http1Server, line: bytes, status: int) -> None:
    """PX5: none of them causes an internal error."""
    with connected(server.port) as client:
        client.send(line + b"\r\nHost: gateway.test\r\n\r\n")
        assert client.response(line.split()[0].decode()).status == status
