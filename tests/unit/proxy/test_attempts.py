"""Which requests are sent again, and what a caller is told when no answer comes (PX8, PX9, PX10)."""

import socket
import time
from threading import Event

import pytest

from tests.fixtures.proxied import OK, ProxiedServer, Script, Visit, answering, proxied, scripted, upstream_spec
from tests.raw_http import RawResponse, connected

_HOST = b" / HTTP/1.1\r\nHost: gate.test\r\n"
_QUICK = {"connect": 0.3, "send": 0.3, "first_byte": 0.3, "idle": 0.3}


def _closing(visit: Visit) -> None:
    """Reads a request and closes."""
    visit.request()


def _resetting(visit: Visit) -> None:
    visit.request()
    visit.reset()


def _silent(visit: Visit) -> None:
    visit.request()
    visit.wait_until_closed()


def _answering_once(visit: Visit) -> None:
    """Answers, and closes when the next request of the kept connection has come."""
    visit.request()
    visit.send(OK)
    visit.next()
    visit.request()


def _saying(answer: bytes) -> Script:
    def script(visit: Visit) -> None:
        visit.request()
        visit.send(answer)

    return script


def _asked(gateway: ProxiedServer, method: str = "GET", lines: bytes = b"\r\n") -> RawResponse:
    with connected(gateway.port) as client:
        client.send(method.encode() + _HOST + lines)
        return client.response(method)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _in_turns(*scripts: Script) -> Script:
    """The first connection gets the first script, and so on; the last one gets all others."""
    left = list(scripts)

    def script(visit: Visit) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(visit)

    return script


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
@pytest.mark.parametrize("failing", [_closing, _resetting], ids=["closes", "resets"])
def test_an_idempotent_request_is_sent_again_before_the_first_byte(method: str, failing: Script) -> None:
    """PX10: RFC 9110 section 9.2.2; with a body that is still in memory."""
    body = b"Content-Length: 4\r\n\r\nbody" if method == "PUT" else b"\r\n"
    with scripted(_in_turns(failing, answering())) as upstream, proxied(upstream) as gateway:
        assert _asked(gateway, method, body).status == 200
    assert [(each.method, each.body) for each in upstream.requests] == [(method, upstream.last.body)] * 2
    assert gateway.lines[-1]["attempts"] == 2


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_request_that_may_have_been_done_is_not_sent_again(method: str) -> None:
    """PX10: the caller is told that it may have been."""
    with scripted(_in_turns(_closing, answering())) as upstream, proxied(upstream) as gateway:
        response = _asked(gateway, method, b"Content-Length: 4\r\n\r\nbody")
    assert (response.status, response.problem["code"]) == (502, "upstream_error")
    assert "Check whether the request was done" in str(response.problem["detail"])
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (2, 3)])
def test_the_route_bounds_the_attempts(retries: int, attempts: int) -> None:
    """PX10."""
    with scripted(_closing) as upstream, proxied(upstream, retries=retries) as gateway:
        assert _asked(gateway).status == 502
    assert len(upstream.requests) == attempts


def test_a_stale_connection_costs_no_retry() -> None:
    """PX10: RFC 9112 section 9.3.1; a request that is not idempotent is not sent again even so."""
    with scripted(_answering_once) as upstream, proxied(upstream, retries=0) as gateway:
        assert [_asked(gateway).status for _ in range(3)] == [200, 200, 200]
        assert len(upstream.requests) == 5  # the second and the third were sent on a stale connection first
        assert _asked(gateway, "POST", b"Content-Length: 1\r\n\r\na").status == 502
        assert len(upstream.requests) == 6


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_target_that_refuses_is_passed_over(method: str) -> None:
    """PX10: nothing was sent, so that any request can go to another target."""
    lines = b"Content-Length: 4\r\n\r\nbody" if method == "POST" else b"\r\n"
    with scripted() as upstream:
        targets = (f"http://127.0.0.1:{_free_port()}", upstream.url)
        with proxied(upstream_spec(*targets)) as gateway:
            assert {_asked(gateway, method, lines).status for _ in range(8)} == {200}


def _told(gateway: ProxiedServer) -> tuple[int, object]:
    response = _asked(gateway)
    assert "127.0.0.1" not in response.body.decode()
    assert response.headers["x-content-type-options"] == "nosniff"
    return response.status, response.problem["code"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Big: " + b"a" * 1_048_576 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Half: ",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
    ids=["two lengths", "length and chunks", "101 unasked", "1 MB head", "half a head", "another protocol"],
)
def test_an_answer_that_is_none_is_502(answer: bytes) -> None:
    """PX5: and it is not asked for again."""
    with scripted(_saying(answer)) as upstream, proxied(upstream) as gateway:
        assert _told(gateway) == (502, "upstream_error")
        assert len(upstream.requests) == 1
    assert gateway.lines[-1]["detail"].startswith(upstream.url)


def test_deadlines_are_504_and_not_retried() -> None:
    """PX8: the answer's head within the route's own time."""
    with scripted(_silent) as upstream:
        spec = upstream_spec(upstream.url)
        began = time.monotonic()
        with proxied(spec, first_byte_seconds=0.2, retries=3) as gateway:
            assert _told(gateway) == (504, "upstream_timeout")
            assert time.monotonic() - began < 2
            assert len(upstream.requests) == 1


def test_an_upstream_that_cannot_be_reached_is_502() -> None:
    """Which phase failed, in plain words."""
    with proxied(upstream_spec(f"http://127.0.0.1:{_free_port()}")) as gateway:
        response = _asked(gateway, "POST", b"Content-Length: 1\r\n\r\na")
    assert response.status == 502
    assert "Nothing was done" in str(response.problem["detail"])


def test_too_many_connections_are_503_with_retry_after() -> None:
    """Retry-After where known."""
    with scripted(_silent) as upstream:
        spec = upstream_spec(upstream.url, connections=1, timeouts=_QUICK | {"first_byte": 5})
        with proxied(spec, retries=0) as gateway, connected(gateway.port) as first:
            first.send(b"GET" + _HOST + b"\r\n")
            assert gateway.http1.wait_until(lambda: len(upstream.requests) == 1)
            response = _asked(gateway)
    assert (response.status, response.headers["retry-after"]) == (503, "1")
    assert response.problem["code"] == "unavailable"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
    ],
    ids=["length", "chunks", "bad chunk"],
)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_an_answer_that_is_cut_short_has_no_clean_end(answer: bytes, version: bytes) -> None:
    """PX9: the client's body is not complete, or reset where the end of the connection is that of the body."""
    released = Event()

    def script(visit: Visit) -> None:
        visit.request()
        visit.send(answer[: answer.index(b"abc") + 3])
        released.wait(10)
        visit.send(answer[answer.index(b"abc") + 3 :])

    with scripted(script) as upstream, proxied(upstream) as gateway, connected(gateway.port) as client:
        client.send(b"GET / HTTP/%b\r\nHost: gate.test\r\n\r\n" % version)
        head = client.read_until(b"\r\n\r\n")
        received = client.read_until(b"abc")
        released.set()
        reset = False
        try:
            while data := client.socket.recv(65_536):
                received += data
        except ConnectionResetError:
            reset = True
    complete = received.endswith(b"0\r\n\r\n")
    unframed = b"content-length" not in head and b"chunked" not in head
    assert not complete
    assert reset or not unframed
    assert gateway.http1.wait_until(lambda: bool(gateway.lines))
    assert gateway.lines[-1]["cut_short"]


def test_a_client_that_leaves_ends_the_upstream_request() -> None:
    """PX9: while the answer is waited for, and nothing is tried again."""
    ended: list[bool] = []

    def script(visit: Visit) -> None:
        visit.request()
        ended.append(visit.wait_until_closed())

    with scripted(script) as upstream, proxied(upstream) as gateway:
        with connected(gateway.port) as client:
            client.send(b"GET" + _HOST + b"\r\n")
            assert gateway.http1.wait_until(lambda: len(upstream.requests) == 1)
        assert gateway.http1.wait_until(lambda: ended == [True])
        assert gateway.http1.wait_until(lambda: bool(gateway.lines))
        assert (gateway.lines[-1]["status"], gateway.lines[-1]["client_left"]) == (0, True)
    assert len(upstream.requests) == 1


def test_a_client_that_leaves_in_the_middle_of_an_answer_ends_it() -> None:
    """PX9: an endless answer."""
    ended: list[bool] = []

    def script(visit: Visit) -> None:
        visit.request()
        visit.socket.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                visit.socket.sendall(b"5\r\nevent\r\n")
                time.sleep(0.001)
        except OSError:
            ended.append(True)

    with scripted(script) as upstream, proxied(upstream) as gateway:
        with connected(gateway.port) as client:
            client.send(b"GET" + _HOST + b"\r\n")
            client.read_until(b"event")
        assert gateway.http1.wait_until(lambda: ended == [True])
