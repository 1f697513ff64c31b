"""Clients that make the server hold memory: unfinished bodies, heads and pipelined requests (LD2)."""

import weakref
from contextlib import ExitStack

import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import CapturingLogger

from gateway.gate.access_log import AccessLog
from gateway.gate.gate import Gate
from gateway.http1.held_memory import Holder, MemoryShort
from gateway.problems.documents import Problems
from gateway.request.source import SourceReader
from tests.asgi import route_to
from tests.fixtures.http1 import BODY_LIMIT, Http1Server, StartServer
from tests.integration.http1.applications import Held, count_body
from tests.raw_http import RawClient, connected

_LIMIT = 1_048_576  # 16 bodies
_SOURCE_LIMIT = _LIMIT // 4
_SIZE = 60_000  # of a body of BODY_LIMIT
_CLIENTS = 24  # of bodies that are 1.4 MB together
_POST = b"POST /read HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: %d\r\n%b\r\n"


def _unfinished(server: Http1Server, stack: ExitStack, sent: list[bytes]) -> list[RawClient]:
    """One client for each; the server has read what each has sent before the next one sends."""
    clients, holders = [], _watch(server, stack.enter_context(connected(server.port)))
    for number, each in enumerate(sent, 1):
        clients.append(stack.enter_context(connected(server.port)))
        clients[-1].send(each)
        assert server.wait_until(lambda count=number: len(holders) == count)  # type: ignore[misc]
        assert server.memory.total <= _LIMIT
    return clients


def _watch(server: Http1Server, _client: RawClient) -> set[Holder]:
    """All that will have held a thousand bytes."""
    holders: set[Holder] = set()
    hold = server.memory.hold

    def watched(holder: Holder, size: int, source: str | None) -> None:
        hold(holder, size, source)
        if size > 1_000:
            holders.add(holder)

    server.memory.hold = watched  # type: ignore[method-assign]
    return holders


def _is_refused(client: RawClient) -> bool:
    client.socket.settimeout(0.2)
    try:
        response = client.response()
    except TimeoutError:
        return False
    assert (response.status, response.problem["code"]) == (503, "unavailable")
    assert response.problem["detail"] == MemoryShort.message
    assert int(response.headers["retry-after"]) >= 1
    return True


def _assert_small_requests_pass(server: Http1Server) -> None:
    for _ in range(3):
        with connected(server.port) as client:
            client.send(_POST % (5, b"") + b"hello")
            assert client.response().body == b"5"


def test_unfinished_bodies_of_one_source_are_bounded(start_server: StartServer) -> None:
    """LD2: without a credential too; the longest and largest ones are refused, and small requests pass."""
    server = start_server(count_body, held_memory_limit=_LIMIT)
    with ExitStack() as stack:
        clients = _unfinished(server, stack, [_POST % (BODY_LIMIT, b"") + b"a" * _SIZE] * _CLIENTS)
        assert server.memory.of("127.0.0.1") <= _SOURCE_LIMIT
        _assert_small_requests_pass(server)
        refused = [_is_refused(each) for each in clients]
        assert refused.count(False) in {3, 4}
        assert not refused[-1]
        clients[-1].send(b"a" * (BODY_LIMIT - _SIZE))
        assert clients[-1].response().body == b"%d" % BODY_LIMIT
    assert server.wait_until(lambda: not server.connections)


class _Collected(bytearray):
    """A part of a body that an application has read; it can be referred to weakly."""


def test_what_the_application_has_read_is_freed_with_its_request(start_server: StartServer) -> None:
    """LD2: not when the connection closes, which waits for the client; the error must not keep it."""
    collected: list[weakref.ref[_Collected]] = []

    async def collects(_scope: Scope, receive: Receive, _send: Send) -> None:
        parts = []
        while True:
            parts.append(_Collected((await receive())["body"]))
            collected.append(weakref.ref(parts[-1]))

    gate = Gate(
        collects,
        stages=(route_to(collects, "/read"),),
        problems=Problems("https://gateway.test"),
        source=SourceReader(),
        access=AccessLog(CapturingLogger()),
    )
    server = start_server(gate, held_memory_limit=_LIMIT)
    with connected(server.port) as client:
        client.send(_POST % (BODY_LIMIT, b"") + b"a" * 1_000)
        assert server.wait_until(lambda: len(collected) == 1)
        server.call_soon(server.connection.shed)
        assert client.response().status == 503
        assert server.wait_until(lambda: collected[0]() is None)
        assert len(server.connections) == 1


def test_sources_behind_a_trusted_proxy_are_told_apart(start_server: StartServer) -> None:
    """LD2, TH3: each has a bound of its own, all together have that of the process."""
    server = start_server(count_body, held_memory_limit=_LIMIT, trusted_proxies=["127.0.0.1"])
    with ExitStack() as stack:
        one = [_POST % (BODY_LIMIT, b"X-Forwarded-For: 2001:db8::%x\r\n" % number) for number in range(6)]
        _unfinished(server, stack, [each + b"a" * _SIZE for each in one])
        assert 0 < server.memory.of("2001:db8::/64") <= _SOURCE_LIMIT
        many = [_POST % (BODY_LIMIT, b"X-Forwarded-For: 192.0.2.%d\r\n" % number) for number in range(_CLIENTS)]
        _unfinished(server, stack, [each + b"a" * _SIZE for each in many])
        assert _LIMIT // 2 < server.memory.total <= _LIMIT
        _assert_small_requests_pass(server)


def test_unfinished_heads_are_bounded(start_server: StartServer) -> None:
    """LD2: each is short, and all of a source's together are not."""
    server = start_server(count_body, held_memory_limit=_LIMIT)
    head = b"GET / HTTP/1.1\r\nHost: gateway.test\r\n" + b"X-Note: " + b"a" * 30_000
    with ExitStack() as stack:
        clients = _unfinished(server, stack, [head] * 12)
        assert server.memory.of("127.0.0.1") <= _SOURCE_LIMIT
        assert [_is_refused(each) for each in clients].count(True) >= 3
        _assert_small_requests_pass(server)


def test_requests_behind_a_running_one_are_bounded(start_server: StartServer) -> None:
    """LD2: the running one is answered, and those behind it are dropped with the connection."""
    app = Held()
    server = start_server(app, held_memory_limit=_LIMIT)
    line = b"GET /first HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
    with ExitStack() as stack:
        clients = _unfinished(server, stack, [line + b"GET /second HTTP/1.1\r\nX-Note: " + b"a" * 30_000] * 12)
        assert server.memory.of("127.0.0.1") <= _SOURCE_LIMIT
        server.call_soon_any(app.release.set)
        answers = [each.response() for each in clients]
        assert {each.body for each in answers} == {b"/first"}
        assert [each.headers.get("connection") for each in answers].count("close") >= 3


@pytest.mark.parametrize("sent", [b"", b"a" * 100])
def test_memory_is_counted_until_the_request_ends(start_server: StartServer, sent: bytes) -> None:
    """LD2: also while the application has the body, and byte by byte a body takes more than its own size."""
    app = Held(listens=True)
    server = start_server(app, held_memory_limit=_LIMIT)
    with connected(server.port) as client:
        client.send(_POST % (len(sent) + 1, b"") + sent)
        assert server.wait_until(lambda: server.memory.total >= len(sent) if sent else bool(server.scopes))
        client.send(b"b")
        assert server.wait_until(lambda: server.memory.total >= len(sent) + 1 + 64)
    server.call_soon_any(app.release.set)
    assert server.wait_until(lambda: not server.connections)
    assert server.memory.total == 0
