"""Applications that violate ASGI are handled as by uvicorn's own protocol (PX9)."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.fixtures.http1 import Http1Server, StartServer, run_server
from tests.integration.http1.applications import body, count_body, fails_after, length, responds, start, stream
from tests.raw_http import connected

_GET = b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"


@dataclass(frozen=True, slots=True)
class _Fault:
    app: ASGIApp
    status: int | None  # None: the connection closes without a complete response


async def _sends_more_than_the_end(_scope: Scope, _receive: Receive, send: Send) -> None:
    for message in (start(200, length(2)), body(b"ok")):
        await send(message)
    with pytest.raises(RuntimeError):
        await send(body(b"more"))


async def _receives_to_the_end(_scope: Scope, receive: Receive, send: Send) -> None:
    assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
    for message in (start(200, length(2)), body(b"ok")):
        await send(message)
    assert await receive() == {"type": "http.disconnect"}
    assert await receive() == {"type": "http.disconnect"}


_FAULTS = {
    "raises before its response": _Fault(fails_after(), 500),
    "raises after its head": _Fault(fails_after(start(200, length(2))), None),
    "raises within its body": _Fault(fails_after(start(200, length(4)), body(b"ok", more=True)), None),
    "raises within a stream": _Fault(fails_after(start(), body(b"ok", more=True)), None),
    "raises after its response": _Fault(fails_after(start(200, length(2)), body(b"ok")), 200),
    "never responds": _Fault(responds(), 500),
    "never completes its response": _Fault(responds(start(), body(b"ok", more=True)), None),
    "starts with a body": _Fault(responds(body(b"ok")), 500),
    "starts twice": _Fault(responds(start(), start()), None),
    "sends unsupported early hints": _Fault(
        responds({"type": "http.response.early_hint", "links": []}, start(200, length(2)), body(b"ok")), 500
    ),
    "sends more than its length": _Fault(responds(start(200, length(2)), body(b"more")), None),
    "sends less than its length": _Fault(responds(start(200, length(4)), body(b"ok")), None),
    "sends a line feed in a value": _Fault(responds(start(200, (b"x-note", b"a\r\nx-more: b")), body()), None),
    "sends a space in a name": _Fault(responds(start(200, (b"x note", b"a")), body()), None),
    "sends after the end": _Fault(_sends_more_than_the_end, 200),
    "receives to the end": _Fault(_receives_to_the_end, 200),
    "streams": _Fault(stream([b"one", b"", b"two"]), 200),
    "reads an empty body": _Fault(count_body, 200),
}


class _Faults:
    """Delegates to the application of the current test."""

    current: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.current(scope, receive, send)


_FAULTY = _Faults()


@pytest.fixture(scope="module", params=["uvicorn's", "ours"])
def server(request: pytest.FixtureRequest) -> Iterator[Http1Server]:
    with run_server(_FAULTY, stock=request.param != "ours") as server:
        yield server


@pytest.mark.parametrize("fault", _FAULTS.values(), ids=_FAULTS.keys())
def test_an_application_error_never_looks_like_a_complete_response(server: Http1Server, fault: _Fault) -> None:
    """PX9: the same under both protocols."""
    _FAULTY.current = fault.app
    with connected(server.port) as client:
        client.send(_GET)
        if fault.status is None:
            with pytest.raises((AssertionError, ConnectionResetError)):
                client.response()
        else:
            assert client.response().status == fault.status
    assert server.wait_until(lambda: server.idle)


def test_every_response_is_counted(server: Http1Server) -> None:
    """Uvicorn can stop a worker after a number of requests."""
    _FAULTY.current = responds(start(200, length(2)), body(b"ok"))
    before = server.uvicorn.server_state.total_requests
    with connected(server.port) as client:
        for _ in range(3):
            client.send(_GET)
            assert client.response().status == 200
    assert server.uvicorn.server_state.total_requests == before + 3


def test_an_error_before_the_response_gets_a_problem_document(start_server: StartServer) -> None:
    """With the default headers and without internal details; uvicorn's own protocol sends plain text."""
    server = start_server(fails_after())
    with connected(server.port) as client:
        client.send(_GET)
        response = client.response()
        assert (response.status, response.problem["code"]) == (500, "internal")
        assert response.problem["request_id"] == response.headers["x-request-id"]
        assert response.headers["connection"] == "close"
        assert client.closed()
