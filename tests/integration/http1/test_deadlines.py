"""No client keeps us waiting for ever, in no phase of a request (PX8)."""

import asyncio

import pytest

from gateway.http1.shared import Limits
from tests.fixtures.http1 import EdgeFactory, EdgeServer
from tests.integration.http1.applications import Slow, body, length, reads, says, start
from tests.raw_http import RawClient, connected

_HEAD = b"POST /read HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 6000\r\n"


@pytest.mark.parametrize("sent", [b"G", b"GET / HTTP/1.1\r\nHost: gateway.test\r\nX-Slow: "])
def test_half_a_head_is_answered_with_408(edge_servers: EdgeFactory, sent: bytes) -> None:
    """PX8: and bytes that go on trickling do not put it off."""
    edge = edge_servers(reads, limits=Limits(sweep=0.02, head=0.3))
    with connected(edge.port) as client:
        client.send(sent)
        assert edge.settle(lambda: edge.only._began > 0)
        client.send(b"\r" if sent == b"G" else b"a")
        answer = client.answer()
        assert (answer.status, answer.problem["code"]) == (408, "request_timeout")
        assert client.closed()
    assert edge.seen == []


def test_a_connection_on_which_nothing_is_said_is_closed(edge_servers: EdgeFactory) -> None:
    """PX8: a server that waits for the first request for ever can be filled with connections."""
    edge = edge_servers(reads, limits=Limits(sweep=0.02, first_byte=0.2))
    with connected(edge.port) as client:
        assert client.closed()


def test_a_connection_is_kept_for_the_next_request_as_long_as_is_set(edge_servers: EdgeFactory) -> None:
    """PX8: and no longer."""
    edge = edge_servers(reads, limits=Limits(sweep=0.02), keep_alive=0.2)
    with connected(edge.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
        assert client.answer().headers.get("connection") is None
        assert client.closed()


def test_the_time_that_we_take_is_not_the_clients(edge_servers: EdgeFactory) -> None:
    """PX8: no deadline runs while the application works, nor while the next request waits behind it."""
    slow = Slow()
    edge = edge_servers(slow, limits=Limits(sweep=0.01, head=0.05))
    with connected(edge.port) as client:
        client.send(b"GET /one HTTP/1.1\r\nHost: gateway.test\r\n\r\nGET /two HTTP/1.1\r\n")
        assert edge.settle(lambda: bool(edge.only._held))
        sweeps = _count_sweeps(edge)
        assert edge.settle(lambda: len(sweeps) > 10)
        edge.soon(slow.told.set)
        assert client.answer().body == b"/one"
        assert client.answer().status == 408


def _count_sweeps(edge: EdgeServer) -> list[None]:
    """Grows by one with each hundredth of a second that the server's loop has lived through."""
    seen: list[None] = []
    loop = edge.only.loop

    def tick() -> None:
        seen.append(None)
        if len(seen) < 100:
            loop.call_later(0.01, tick)

    loop.call_soon_threadsafe(tick)
    return seen


def _begun(edge: EdgeServer, client: RawClient, head: bytes, sent: bytes) -> None:
    client.send(head + sent)
    assert edge.settle(lambda: edge.only._arrived == len(sent) and bool(edge.seen))


def test_a_body_that_comes_too_slowly_is_answered_with_408(edge_servers: EdgeFactory) -> None:
    """PX8: too little in one window; enough in the one before does not count any more."""
    edge = edge_servers(reads)
    with connected(edge.port) as client:
        _begun(edge, client, _HEAD + b"\r\n", b"a" * 5_000)
        edge.soon(edge.only.on_silence)  # the window has passed, with enough in it
        assert edge.settle(lambda: edge.only._arrived == 0)
        client.send(b"a" * 999)
        assert edge.settle(lambda: edge.only._arrived == 999)
        edge.soon(edge.only.on_silence)
        answer = client.answer()
        assert (answer.status, answer.problem["code"]) == (408, "request_timeout")
        assert client.closed()


def test_a_body_that_comes_fast_enough_may_take_its_time(edge_servers: EdgeFactory) -> None:
    """PX8 bounds the pace, and not how long a body may be on its way."""
    edge = edge_servers(reads)
    with connected(edge.port) as client:
        _begun(edge, client, _HEAD + b"\r\n", b"a" * 5_000)
        edge.soon(edge.only.on_silence)
        assert edge.settle(lambda: edge.only._arrived == 0)
        client.send(b"a" * 1_000)
        assert client.answer().body == b"6000"


def test_a_silent_body_is_noticed_by_itself(edge_servers: EdgeFactory) -> None:
    """PX8: by the sweep."""
    edge = edge_servers(reads, limits=Limits(sweep=0.02, body_window=0.1))
    with connected(edge.port) as client:
        client.send(_HEAD + b"\r\na")
        assert client.answer().status == 408


def test_who_waits_to_be_told_to_continue_is_not_slow(edge_servers: EdgeFactory) -> None:
    """PX8: it is we who keep it waiting."""
    slow = Slow()
    edge = edge_servers(slow, limits=Limits(sweep=0.01, body_window=0.03))
    with connected(edge.port) as client:
        client.send(_HEAD + b"Expect: 100-continue\r\n\r\n")
        sweeps = _count_sweeps(edge)
        assert edge.settle(lambda: len(sweeps) > 10)
        edge.soon(slow.told.set)
        assert client.answer().status == 200


def test_a_refused_client_that_goes_on_sending_is_cut_off(edge_servers: EdgeFactory) -> None:
    """PX8: after the time that it takes to read an answer; no byte more than a bound is taken meanwhile."""
    edge = edge_servers(reads, limits=Limits(sweep=0.02, drain=0.2))
    with connected(edge.port) as client:
        client.send(b"no request\r\n\r\n")
        assert client.answer().status == 400
        assert edge.settle(lambda: not edge.connections)
    edge = edge_servers(reads, limits=Limits(most_drained=100_000))
    with connected(edge.port) as client:
        client.send(b"no request\r\n\r\n" + b"a" * 10_000_000)
        assert edge.settle(lambda: not edge.connections)


def _assert_comes_and_goes(edge: EdgeServer) -> None:
    assert edge.settle(lambda: bool(edge.seen))
    assert edge.settle(lambda: not edge.connections)


def test_a_client_that_takes_nothing_of_its_answer_is_cut_off(edge_servers: EdgeFactory) -> None:
    """PX8: while the answer is written, and when it waits to leave after its end."""
    large = 50_000_000
    for close in ((), ((b"connection", b"close"),)):
        edge = edge_servers(says(start(200, length(large), *close), body(bytes(large))), stall=0.3)
        with connected(edge.port) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
            _assert_comes_and_goes(edge)


def test_deadlines_are_forgotten_with_the_connection(edge_servers: EdgeFactory) -> None:
    """PX8: else a server that lives long would remember every client that it ever had."""
    edge = edge_servers(reads)
    with connected(edge.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
        assert client.answer().status == 200
        silence = edge.only._shared.silence
        assert len(silence._deadlines) == 1
    assert edge.settle(lambda: not silence._deadlines)


def test_the_loop_is_left_alone_when_nobody_is_waited_for(edge_servers: EdgeFactory) -> None:
    """An idle worker need not wake up once a second."""
    edge = edge_servers(reads, limits=Limits(sweep=0.01))
    with connected(edge.port):
        silence = edge.only._shared.silence
        assert silence._timer is not None
    assert edge.settle(lambda: silence._timer is None)
    assert isinstance(silence._loop, asyncio.AbstractEventLoop)
