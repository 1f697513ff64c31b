"""Bodies on their way through a proxied route, in both directions (PX5, PX8, PX9, PX11)."""

import time
from threading import Event

import pytest

from gateway.http1.timeouts import Limits
from tests.fixtures.http1 import BODY_LIMIT
from tests.fixtures.proxied import OK, Visit, answering, proxied, scripted, upstream_spec
from tests.raw_http import connected

_POST = b"POST / HTTP/1.1\r\nHost: gate.test\r\n"
_GET = b"GET / HTTP/1.1\r\nHost: gate.test\r\n\r\n"
_LARGE = bytes(range(256)) * 4_096  # a megabyte, which the server's own bound does not allow


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, len(_LARGE)])
@pytest.mark.parametrize("piece", [None, 30_000])
def test_a_body_with_a_length_arrives_whole(size: int, piece: int | None) -> None:
    """PX5, PX11: also a body beyond the server's own bound, since the route allows it."""
    assert len(_LARGE) > BODY_LIMIT
    with scripted() as upstream, proxied(upstream) as gateway, connected(gateway.port) as client:
        client.send(_POST + b"Content-Length: %d\r\n\r\n" % size + _LARGE[:size], piece)
        assert client.response().status == 200
    assert upstream.last.body == _LARGE[:size]
    assert upstream.last.field("content-length") == str(size)
    assert "transfer-encoding" not in upstream.last.names


def test_a_chunked_body_is_sent_on_while_it_arrives() -> None:
    """PX11: the upstream has the first part before the second is sent; trailers end here."""
    parts: list[bytes] = []
    got = Event()

    def script(visit: Visit) -> None:
        received = visit.request(body=False)
        assert received is not None
        while data := visit.read_body(received):
            parts.append(data)
            got.set()
        visit.send(OK)

    with scripted(script) as upstream, proxied(upstream) as gateway, connected(gateway.port) as client:
        client.send(_POST + b"Transfer-Encoding: chunked\r\n\r\n5;ext=1\r\nfirst\r\n")
        assert got.wait(10)
        client.send(b"6\r\nsecond\r\n0\r\nX-Trailer: 1\r\n\r\n")
        assert client.response().status == 200
    assert (b"".join(parts), upstream.last.complete) == (b"firstsecond", True)
    assert upstream.last.field("transfer-encoding") == "chunked"
    assert b"Trailer" not in upstream.raw


def test_a_small_chunked_body_in_one_read_gets_a_length() -> None:
    """PX5: it is whole when the request goes on."""
    with scripted() as upstream, proxied(upstream) as gateway, connected(gateway.port) as client:
        client.send(_POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        assert client.response().status == 200
    assert (upstream.last.body, upstream.last.field("content-length")) == (b"hello", "5")


def test_a_buffered_body_is_whole_before_it_is_sent_on() -> None:
    """``buffer``; a slow client holds no connection to the upstream."""
    with scripted() as upstream, proxied(upstream, buffer=True) as gateway, connected(gateway.port) as client:
        client.send(_POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        time.sleep(0.1)
        assert upstream.visits == 0
        client.send(b"6\r\nsecond\r\n0\r\n\r\n")
        assert client.response().status == 200
    assert upstream.last.field("content-length") == "11"


@pytest.mark.parametrize(
    ("lines", "sent"),
    [
        (b"Content-Length: 100001\r\n\r\n", b""),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"186a1\r\n" + b"a" * 100_001 + b"\r\n0\r\n\r\n"),
    ],
    ids=["length", "chunks"],
)
def test_the_route_bounds_the_body(lines: bytes, sent: bytes) -> None:
    """PX7: one byte beyond the route's bound is 413, and at the bound it passes."""
    with scripted() as upstream, proxied(upstream, body_limit=100_000) as gateway:
        with connected(gateway.port) as client:
            client.send(_POST + lines + sent)
            assert client.response().status == 413
        with connected(gateway.port) as client:
            client.send(_POST + b"Content-Length: 100000\r\n\r\n" + b"a" * 100_000)
            assert client.response().status == 200
    assert len(upstream.last.body) == 100_000
    assert all(len(each.body) < 100_001 and each.complete is (each is upstream.last) for each in upstream.requests)


def test_expect_is_answered_here() -> None:
    """RFC 9110 section 10.1.1: by us, as soon as the body is wanted; the upstream is not asked."""
    with scripted() as upstream, proxied(upstream) as gateway, connected(gateway.port) as client:
        client.send(_POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert client.response().status == 100
        client.send(b"hello")
        assert client.response().status == 200
    assert upstream.last.body == b"hello"
    assert "expect" not in upstream.last.names


def test_an_early_refusal_reaches_the_client_while_it_sends() -> None:
    """An early 4xx; the rest of the body is not sent on, and the connection is not used again."""
    refused = Event()

    def script(visit: Visit) -> None:
        received = visit.request(body=False)
        assert received is not None
        visit.read_body(received)
        visit.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        refused.set()
        visit.wait_until_closed()

    with scripted(script) as upstream, proxied(upstream) as gateway, connected(gateway.port) as client:
        client.send(_POST + b"Content-Length: 900000\r\n\r\n" + b"a" * 100_000)
        assert refused.wait(10)
        response = client.response()
        assert (response.status, response.body) == (403, b"no")
        assert gateway.http1.wait_until(lambda: gateway.upstreams["echo"].shared.targets[0].pool.size == 0)


def test_a_service_may_answer_while_it_reads() -> None:
    """PX11: the answer begins after the first part of the body, and ends after the last."""

    def script(visit: Visit) -> None:
        received = visit.request(body=False)
        assert received is not None
        visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while data := visit.read_body(received):
            visit.send(b"%x\r\n%b\r\n" % (len(data), data))
        visit.send(b"0\r\n\r\n")

    with scripted(script) as upstream, proxied(upstream) as gateway, connected(gateway.port) as client:
        client.send(_POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        client.read_until(b"first\r\n")
        client.send(b"6\r\nsecond\r\n0\r\n\r\n")
        assert client.read_until(b"0\r\n\r\n") == b"6\r\nsecond\r\n0\r\n\r\n"
    assert upstream.last.complete


def test_a_client_that_never_sends_its_body_holds_nothing() -> None:
    """PX8: a small body that does not come takes no connection; a streamed one ends with the client's deadline."""
    limits = Limits(sweep=0.1, grace=0.3)
    server = {"limits": limits}
    with scripted() as upstream, proxied(upstream, server=server) as gateway:
        with connected(gateway.port) as client:
            client.send(_POST + b"Content-Length: 5\r\n\r\nhell")
            assert client.response().status == 408
            assert upstream.visits == 0
        with connected(gateway.port) as client:
            client.send(_POST + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n")
            assert client.response().status == 408
        assert gateway.http1.wait_until(lambda: gateway.upstreams["echo"].shared.targets[0].pool.size == 0)
    assert not upstream.last.complete


@pytest.mark.parametrize(
    "lines", [b"Content-Length: 5\r\n\r\nhell", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n"]
)
def test_a_client_that_leaves_in_its_body_leaves_no_request(lines: bytes) -> None:
    """PX9: an upstream never takes half a body for a whole one."""
    with scripted() as upstream, proxied(upstream) as gateway:
        with connected(gateway.port) as client:
            client.send(_POST + lines)
            time.sleep(0.1)
        assert gateway.http1.wait_until(lambda: gateway.http1.idle)
        assert gateway.http1.wait_until(lambda: gateway.upstreams["echo"].shared.targets[0].pool.size == 0)
    assert not any(each.complete for each in upstream.requests)


@pytest.mark.parametrize(
    ("answer", "method", "fields", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"HEAD", {"content-length": "5"}, b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"GET", {}, b""),
        (b'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "a"\r\n\r\n', b"GET", {"etag": '"a"'}, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"GET", {"content-length": "0"}, b""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n",
            b"GET",
            {"transfer-encoding": "chunked"},
            b"abcde",
        ),
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", b"GET", {"transfer-encoding": "chunked"}, b"to the end"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, b"GET", {"content-length": "2"}, b"ok"),
        (b"HTTP/1.1 299 Own\r\nContent-Length: 1\r\n\r\na", b"GET", {"content-length": "1"}, b"a"),
    ],
    ids=["HEAD", "204", "304", "empty", "chunks", "HTTP/1.0", "early hints", "unknown status"],
)
def test_an_answer_is_framed_for_the_client(answer: bytes, method: bytes, fields: dict[str, str], body: bytes) -> None:
    """PX5: and the client's connection goes on."""

    def script(visit: Visit) -> None:
        while visit.request() is not None:
            visit.send(answer)
            if answer.startswith(b"HTTP/1.0"):
                return
            visit.next()

    with scripted(script) as upstream, proxied(upstream) as gateway, connected(gateway.port) as client:
        for _ in range(2):
            client.send(_GET.replace(b"GET", method, 1))
            response = client.response(method.decode())
            assert response.body == body
            assert fields.items() <= response.headers.items()
            assert "connection" not in response.headers
    assert {each.method for each in upstream.requests} == {method.decode()}


def test_garbage_after_an_answer_is_of_no_request() -> None:
    """PX5: the answer is used, the connection is not."""
    with scripted(answering(OK + OK)) as upstream, proxied(upstream) as gateway, connected(gateway.port) as client:
        for _ in range(2):
            client.send(_GET)
            assert client.response().body == b"ok"
        assert upstream.visits == 2


def test_a_large_answer_to_a_stopped_reader_waits_at_its_source() -> None:
    """PX11: the upstream is not read while the client does not read; then all of it arrives."""
    sent = [0]

    def script(visit: Visit) -> None:
        visit.request()
        visit.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * len(_LARGE)))
        for _ in range(64):
            visit.socket.sendall(_LARGE)
            sent[0] += 1

    with (
        scripted(script) as upstream,
        proxied(upstream_spec(upstream.url)) as gateway,
        connected(gateway.port) as client,
    ):
        client.send(_GET)
        client.read_until(b"\r\n\r\n")
        before = -1
        while before != sent[0]:
            before = sent[0]
            time.sleep(0.2)
        assert before < 48  # the sockets' own buffers hold some megabytes
        for _ in range(64):
            assert client.read_exactly(len(_LARGE)) == _LARGE


@pytest.mark.parametrize("size", [1_000, 20_000, 60_000, 102_400, 300_000])
def test_an_answer_of_any_size_arrives_whole(size: int) -> None:
    """PX11: whether it comes in one read or in several."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + _LARGE[:size]
    with scripted(answering(answer)) as upstream, proxied(upstream) as gateway, connected(gateway.port) as client:
        for _ in range(20):
            client.send(_GET)
            assert client.response().body == _LARGE[:size]
