"""Applications that break the rules of ASGI come off as they do under uvicorn's own protocol (PX9)."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.fixtures.http1 import EdgeFactory, EdgeServer, serving
from tests.integration.http1.applications import body, fails_after, length, reads, says, start, stream
from tests.raw_http import connected

_GET = b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"


@dataclass(frozen=True, slots=True)
class _Fault:
    app: ASGIApp
    status: int | None  # None: the connection ends without a whole answer


async def _sends_more_than_the_end(_scope: Scope, _receive: Receive, send: Send) -> None:
    for message in (start(200, length(2)), body(b"ok")):
        await send(message)
    with pytest.raises(RuntimeError):
        await send(body(b"more"))


async def _listens_to_the_end(_scope: Scope, receive: Receive, send: Send) -> None:
    assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
    for message in (start(200, length(2)), body(b"ok")):
        await send(message)
    assert await receive() == {"type": "http.disconnect"}
    assert await receive() == {"type": "http.disconnect"}


_FAULTS = {
    "raises before it answers": _Fault(fails_after(), 500),
    "raises after its head": _Fault(fails_after(start(200, length(2))), None),
    "raises amid its body": _Fault(fails_after(start(200, length(4)), body(b"ok", more=True)), None),
    "raises amid a stream": _Fault(fails_after(start(), body(b"ok", more=True)), None),
    "raises after its answer": _Fault(fails_after(start(200, length(2)), body(b"ok")), 200),
    "never answers": _Fault(says(), 500),
    "never answers to the end": _Fault(says(start(), body(b"ok", more=True)), None),
    "begins with a body": _Fault(says(body(b"ok")), 500),
    "begins twice": _Fault(says(start(), start()), None),
    "sends early hints that it was not offered": _Fault(
        says({"type": "http.response.early_hint", "links": []}, start(200, length(2)), body(b"ok")), 500
    ),
    "sends more than its length": _Fault(says(start(200, length(2)), body(b"more")), None),
    "sends less than its length": _Fault(says(start(200, length(4)), body(b"ok")), None),
    "sends a line feed in a value": _Fault(says(start(200, (b"x-note", b"a\r\nx-more: b")), body()), None),
    "sends a space in a name": _Fault(says(start(200, (b"x note", b"a")), body()), None),
    "goes on after the end": _Fault(_sends_more_than_the_end, 200),
    "listens to the end": _Fault(_listens_to_the_end, 200),
    "streams": _Fault(stream([b"one", b"", b"two"]), 200),
    "reads a body that is not there": _Fault(reads, 200),
}


class _Faults:
    """The application that the test has chosen."""

    chosen: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.chosen(scope, receive, send)


_FAULTY = _Faults()


@pytest.fixture(scope="module", params=["uvicorn's", "ours"])
def edge(request: pytest.FixtureRequest) -> Iterator[EdgeServer]:
    with serving(_FAULTY, stock=request.param != "ours") as server:
        yield server


@pytest.mark.parametrize("fault", _FAULTS.values(), ids=_FAULTS.keys())
def test_a_fault_of_the_application_never_looks_like_a_clean_end(edge: EdgeServer, fault: _Fault) -> None:
    """PX9: the same under both protocols, which is why there is no other list for ours."""
    _FAULTY.chosen = fault.app
    with connected(edge.port) as client:
        client.send(_GET)
        if fault.status is None:
            with pytest.raises((AssertionError, ConnectionResetError)):
                client.answer()
        else:
            assert client.answer().status == fault.status
    assert edge.settle(lambda: not edge.connections and not edge.server.server_state.tasks)


def test_every_answer_is_counted(edge: EdgeServer) -> None:
    """A worker can be told to end after so many."""
    _FAULTY.chosen = says(start(200, length(2)), body(b"ok"))
    before = edge.server.server_state.total_requests
    with connected(edge.port) as client:
        for _ in range(3):
            client.send(_GET)
            assert client.answer().status == 200
    assert edge.server.server_state.total_requests == before + 3


def test_a_fault_before_the_answer_is_a_problem_document(edge_servers: EdgeFactory) -> None:
    """With the headers of every answer and nothing of the inside, where uvicorn's own says it in three words."""
    edge = edge_servers(fails_after())
    with connected(edge.port) as client:
        client.send(_GET)
        answer = client.answer()
        assert (answer.status, answer.problem["code"]) == (500, "internal")
        assert answer.problem["request_id"] == answer.headers["x-request-id"]
        assert answer.headers["connection"] == "close"
        assert client.closed()
