"""The life of a connection: requests in order, bodies, half-closed and vanished clients, the end (PX5, PX9, OP1)."""

import asyncio
import socket
from collections.abc import Callable

import pytest
from starlette.types import Receive, Scope, Send

from gateway.http1.shared import Limits
from tests.fixtures.http1 import BODY_LIMIT, EdgeFactory
from tests.integration.http1.applications import Slow, body, length, reads, says, start, stream
from tests.raw_http import RawClient, connected

_GET = b"GET %b HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
_POST = b"POST / HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: %d\r\n%b\r\n"
_EXPECT = b"Expect: 100-continue\r\n"
_SAYS_OK = says(start(200, length(2)), body(b"ok"))


def test_requests_sent_at_once_are_answered_in_their_order(edge_servers: EdgeFactory) -> None:
    """RFC 9112 section 9.3.2: and one at a time."""
    slow = Slow()
    edge = edge_servers(slow)
    with connected(edge.port) as client:
        client.send(b"".join(_GET % b"/%d" % number for number in range(5)))
        assert edge.settle(lambda: len(edge.seen) == 1)
        edge.soon(slow.told.set)
        assert [client.answer().body for _ in range(5)] == [b"/0", b"/1", b"/2", b"/3", b"/4"]


def test_what_is_sent_while_a_request_is_answered_is_not_read_without_bound(edge_servers: EdgeFactory) -> None:
    """PX11: the rest waits in the kernel, and so at the client."""
    slow = Slow()
    edge = edge_servers(slow)
    with connected(edge.port) as client:
        client.send(_GET % b"/first")
        client.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            client.socket.sendall(_GET % b"/more" * 1_000_000)
        assert len(edge.only._held) < 1_000_000


def test_a_body_that_nobody_reads_is_not_read_without_bound(edge_servers: EdgeFactory) -> None:
    """PX11."""
    slow = Slow()
    large = 50_000_000
    edge = edge_servers(slow, body_limit=large)
    with connected(edge.port) as client:
        client.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            client.socket.sendall(_POST % (large, b"") + bytes(large))
        assert edge.only.cycle._buffered < 1_000_000


def test_an_answer_that_comes_before_the_body_leaves_the_connection_whole(edge_servers: EdgeFactory) -> None:
    """PX5: the rest of the body is read over, and the next request is found behind it."""
    edge = edge_servers(_SAYS_OK)
    with connected(edge.port) as client:
        client.send(_POST % (BODY_LIMIT, b"") + b"a" * 10)
        assert client.answer().body == b"ok"
        client.send(b"a" * (BODY_LIMIT - 10) + _GET % b"/next")
        assert client.answer().body == b"ok"
        assert [scope["path"] for scope in edge.seen] == ["/", "/next"]


def test_a_client_that_is_still_sending_can_read_why_it_was_refused(edge_servers: EdgeFactory) -> None:
    """RFC 9112 section 9.6: closed at once, the kernel would reset the connection, and the answer would be lost."""
    edge = edge_servers(reads)
    for _ in range(20):
        with connected(edge.port) as client:
            client.send(_POST % (900_000, b"") + b"a" * 900_000)
            assert client.answer().status == 413
            assert client.closed()


def test_100_is_sent_when_the_application_asks_for_the_body(edge_servers: EdgeFactory) -> None:
    """RFC 9110 section 10.1.1: and not for a head that is refused."""
    edge = edge_servers(reads)
    with connected(edge.port) as client:
        client.send(_POST % (5, _EXPECT))
        assert client.answer().status == 100
        client.send(b"hello")
        assert client.answer().body == b"5"
        client.send(_POST % (BODY_LIMIT + 1, _EXPECT))
        assert client.answer().status == 413
        assert client.closed()


@pytest.mark.parametrize(
    "head", [_POST % (5, _EXPECT) + b"hello", (_POST % (5, _EXPECT)).replace(b"1.1", b"1.0") + b"hello"]
)
def test_100_is_not_sent_to_who_does_not_wait_for_it(edge_servers: EdgeFactory, head: bytes) -> None:
    """RFC 9110 section 10.1.1: the body is here already, or HTTP/1.0 does not know of it."""
    edge = edge_servers(reads)
    with connected(edge.port) as client:
        client.send(head)
        assert client.answer().status == 200


def test_after_an_answer_without_100_the_connection_ends(edge_servers: EdgeFactory) -> None:
    """PX5: whether the body comes now, or the next request, cannot be told."""
    edge = edge_servers(_SAYS_OK)
    with connected(edge.port) as client:
        client.send(_POST % (5, _EXPECT))
        answer = client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        client.send(_GET % b"/hidden")
        assert client.closed()
    assert len(edge.seen) == 1


def test_a_client_that_has_closed_its_own_way_gets_its_answer(edge_servers: EdgeFactory) -> None:
    """RFC 9112 section 9.6: as a shell's pipe into a socket does it."""
    slow = Slow()
    edge = edge_servers(slow)
    with connected(edge.port) as client:
        client.send(_GET % b"/here")
        assert edge.settle(lambda: bool(edge.seen))
        client.socket.shutdown(socket.SHUT_WR)
        assert edge.settle(lambda: edge.only._ended)
        edge.soon(slow.told.set)
        assert client.answer().body == b"/here"
        assert client.closed()


def _leaves(client: RawClient) -> None:
    client.socket.close()


def _half_leaves(client: RawClient) -> None:
    client.socket.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("leave", [_leaves, _half_leaves])
@pytest.mark.parametrize("sent", [_GET % b"/", _POST % (5, b"") + b"he"], ids=["complete", "amid its body"])
def test_an_application_that_listens_hears_that_the_client_left(
    edge_servers: EdgeFactory, leave: Callable[[RawClient], None], sent: bytes
) -> None:
    """PX9: what it does for nobody can end."""
    slow = Slow(listens=True)
    edge = edge_servers(slow)
    with connected(edge.port) as client:
        client.send(sent)
        assert edge.settle(lambda: slow.heard == ["http.request"])
        loop = edge.only.loop
        leave(client)
        assert edge.settle(lambda: slow.heard == ["http.request", "http.disconnect"])
    loop.call_soon_threadsafe(slow.told.set)
    assert edge.settle(lambda: not edge.connections and not edge.server.server_state.tasks)


def test_a_stream_to_a_client_that_left_ends(edge_servers: EdgeFactory) -> None:
    """PX9: what is sent to nobody is dropped, and raises nothing."""
    sent: list[int] = []

    async def endless(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start())
        while len(sent) < 2 or edge.connections:
            await send(body(b"a" * 1_000, more=True))
            sent.append(1)
            await asyncio.sleep(0.001)

    edge = edge_servers(endless)
    with connected(edge.port) as client:
        client.send(_GET % b"/")
        assert client._exactly(1_000)
    assert edge.settle(lambda: not edge.connections and not edge.server.server_state.tasks)


def test_the_head_of_a_stream_does_not_wait_for_its_first_piece(edge_servers: EdgeFactory) -> None:
    """PX11: an event stream is open before its first event."""
    gate = asyncio.Event()
    edge = edge_servers(stream([b"one", b"two"], gate))
    with connected(edge.port) as client:
        client.send(_GET % b"/")
        assert b"transfer-encoding: chunked" in client._until(b"\r\n\r\n")
        edge.soon(gate.set)
        assert client._body({"transfer-encoding": "chunked"}) == b"onetwo"


def test_http_1_0_gets_no_chunks_and_a_closed_connection(edge_servers: EdgeFactory) -> None:
    """RFC 9112 section 6.1: it does not know them; the end of the connection is the end of the body."""
    edge = edge_servers(stream([b"one", b"two"]))
    with connected(edge.port) as client:
        client.send((_GET % b"/").replace(b"1.1\r\n", b"1.0\r\nConnection: keep-alive\r\n"))
        answer = client.answer()
        assert (answer.body, answer.headers["connection"]) == (b"onetwo", "close")
        assert "transfer-encoding" not in answer.headers


@pytest.mark.parametrize("options", [b"close", b"Close", b"keep-alive, close", b"close\r\nConnection: x-note"])
def test_a_client_that_asks_for_it_is_parted_from(edge_servers: EdgeFactory, options: bytes) -> None:
    """RFC 9112 section 9.6: wherever the option stands among others."""
    edge = edge_servers(_SAYS_OK)
    with connected(edge.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: gateway.test\r\nConnection: " + options + b"\r\n\r\n" + _GET % b"/more")
        assert client.answer().headers["connection"] == "close"
        assert client.closed()
    assert len(edge.seen) == 1


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_an_answer_without_a_body_ends_with_its_head(edge_servers: EdgeFactory, method: str, status: int) -> None:
    """RFC 9110 section 6.4.1: whatever length it tells, the next answer begins right behind."""
    tells = [length(2)] if method == "HEAD" or status == 304 else []
    edge = edge_servers(says(start(status, *tells), body(b"ok" if method == "HEAD" else b"")))
    with connected(edge.port) as client:
        client.send((_GET % b"/").replace(b"GET", method.encode()) * 2)
        for _ in range(2):
            answer = client.answer(method)
            assert (answer.status, answer.headers.get("content-length")) == (status, "2" if tells else None)
            assert "transfer-encoding" not in answer.headers


def test_when_the_server_stops_what_runs_is_finished(edge_servers: EdgeFactory) -> None:
    """OP1: and its connection is closed, as are those that wait for a request, and those amid a head."""
    slow = Slow()
    edge = edge_servers(slow)
    with connected(edge.port) as busy, connected(edge.port) as idle, connected(edge.port) as halfway:
        busy.send(_GET % b"/busy")
        halfway.send(b"GET / HT")
        assert edge.settle(lambda: bool(edge.seen) and len(edge.connections) == 3)
        loop = edge.connections[0].loop
        edge.server.should_exit = True
        assert idle.closed()
        assert halfway.closed()
        loop.call_soon_threadsafe(slow.told.set)
        answer = busy.answer()
        assert (answer.body, answer.headers["connection"]) == (b"/busy", "close")
        assert busy.closed()


def test_where_there_are_too_many_connections_the_longest_silent_goes(edge_servers: EdgeFactory) -> None:
    """PX8: never one that is being answered, and never the newcomer while another waits."""
    slow = Slow()
    edge = edge_servers(slow, limits=Limits(most_connections=3))
    with connected(edge.port) as busy, connected(edge.port) as oldest, connected(edge.port) as newer:
        busy.send(_GET % b"/busy")
        assert edge.settle(lambda: bool(edge.seen))
        oldest.send(b"GET / HT")
        newer.send(b"GET / HTTP/1.1\r\n")
        assert edge.settle(lambda: len(edge.connections) == 3)
        with connected(edge.port) as newest:
            assert oldest.closed()
            newest.send(_GET % b"/newest")
            assert edge.settle(lambda: len(edge.seen) == 2)
            edge.connections[0].loop.call_soon_threadsafe(slow.told.set)
            assert newest.answer().body == b"/newest"
            assert busy.answer().body == b"/busy"
