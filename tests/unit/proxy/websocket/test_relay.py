"""Open WebSockets: what passes, what ends them, and what the ends are told (PX9, PX11, PX12)."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from websockets.frames import Frame, Opcode

from gateway.proxy.websocket import tunnel
from tests.fixtures.proxied import Visit, scripted, upstream_spec
from tests.fixtures.upstreams import Authority, server_context
from tests.fixtures.websockets import SWITCHED, World, websocket_server, websockets_to
from tests.raw_http import RawClient

_LIMIT = 70_000
_EMPTY_CLOSE, _CLOSE_SIZE = b"\x88\x82", 8  # of a close frame with a code alone, to an upstream: header and bytes


def _frame(opcode: Opcode, payload: bytes = b"", *, final: bool = True, masked: bool = True) -> bytes:
    return Frame(opcode, payload, final).serialize(mask=masked)


class _Recorder:
    """An upstream that agrees, sends ``first``, and records what it gets until the end."""

    def __init__(self, first: bytes = b"", *, end: str = "reads") -> None:
        self.first = first
        self.end = end
        self.received = b""
        self.ended = False

    def __call__(self, visit: Visit) -> None:
        visit.request()
        visit.send(SWITCHED.encode() + b"\r\n" + self.first)
        if self.end == "reset":
            visit.reset()
        elif self.end == "reads":
            try:
                while data := visit.socket.recv(65_536):
                    self.received += data
                    if self.received[-_CLOSE_SIZE:].startswith(_EMPTY_CLOSE):
                        break
            except ConnectionResetError:
                pass
            self.ended = True


@contextmanager
def _opened(recorder: _Recorder, **fields: object) -> Iterator[tuple[World, RawClient]]:
    with scripted(recorder) as upstream, websockets_to(upstream, **fields) as world:
        client = world.opened()
        try:
            yield world, client
        finally:
            client.socket.close()


def _closed(client: RawClient) -> tuple[int, str]:
    """The code and the text of the close frame that comes next; the connection ends after it."""
    head = client.read_exactly(2)
    assert head[0] == 0x88
    payload = client.read_exactly(head[1])
    client.send(_frame(Opcode.CLOSE, payload[:2]))
    assert client.closed()
    return int.from_bytes(payload[:2]), payload[2:].decode()


def _close_code(masked: bytes) -> int:
    """Of a close frame of the gateway to an upstream."""
    assert masked[0] == 0x88
    return int.from_bytes(bytes(each ^ masked[2 + at] for at, each in enumerate(masked[6:8])))


def test_messages_pings_and_the_close_pass_both_ways() -> None:
    """PX12: and the request is counted when it is opened, delivered when it ends."""
    with websocket_server() as url, websockets_to(url) as world, world.connect() as client:
        for message in ("hello", "", b"\0" * 500_000):
            client.send(message)
            assert client.recv(timeout=20) == message
        client.send(["a", "b"])
        assert client.recv(timeout=20) == "ab"
        assert client.ping().wait(20)
        assert world.contexts[0].log["upstream"] == "echo"
        client.close(4_001, "done")
        assert world.server.http1.wait_until(lambda: not world.sockets and bool(world.server.lines))
    assert (client.close_code, client.close_reason) == (4_001, "done")
    (line,) = world.server.lines
    assert (line["status"], line["messages_received"], line["messages_sent"]) == (101, 4, 4)
    assert "cut_short" not in line


def test_messages_pass_to_an_upstream_with_tls(tmp_path: Path) -> None:
    """PX12: also more of one than the buffers hold."""
    authority = Authority(tmp_path)
    files = authority.issue("127.0.0.1")
    with websocket_server(ssl=server_context(files), max_size=None) as url:
        spec = upstream_spec(url, tls={"ca_file": str(authority.file)})
        with websockets_to(spec, message_bytes=8_000_000) as world, world.connect(max_size=None) as client:
            for message in (b"a" * 4_000_000, b"b"):
                client.send(message)
                assert client.recv(timeout=20) == message


_VIOLATIONS = {
    "not masked": (_frame(Opcode.TEXT, b"a", masked=False), 1002),
    "a reserved bit": (b"\xc1\x80" + bytes(4), 1002),
    "a message over the limit": (_frame(Opcode.BINARY, b"a" * (_LIMIT + 1)), 1009),
    "fragments over the limit": (
        _frame(Opcode.BINARY, b"a" * _LIMIT, final=False) + _frame(Opcode.CONT, b"a"),
        1009,
    ),
}


@pytest.mark.parametrize(("sent", "code"), _VIOLATIONS.values(), ids=_VIOLATIONS.keys())
def test_a_client_that_breaks_the_protocol_is_told(sent: bytes, code: int) -> None:
    """PX12: the upstream gets what came before, and a close frame of its own."""
    recorder, before = _Recorder(), _frame(Opcode.PING, b"before")
    with _opened(recorder, message_bytes=_LIMIT) as (world, client):
        client.send(before + sent)
        assert _closed(client)[0] == code
        client.socket.close()
        assert world.server.http1.wait_until(lambda: recorder.ended and bool(world.server.lines))
    assert recorder.received.startswith(before)
    assert sent.startswith(recorder.received[len(before) : -_CLOSE_SIZE])
    assert _close_code(recorder.received[-_CLOSE_SIZE:]) == 1001
    assert world.server.lines[0]["cut_short"].endswith("_by_client")


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (_frame(Opcode.TEXT, b"a"), "protocol_error_by_upstream"),
        (_frame(Opcode.TEXT, b"a" * (_LIMIT + 1), masked=False), "message_too_big_by_upstream"),
    ],
    ids=["masked", "too big"],
)
def test_an_upstream_that_breaks_the_protocol_is_no_clean_end(first: bytes, reason: str) -> None:
    """PX9."""
    recorder = _Recorder(first)
    with _opened(recorder, message_bytes=_LIMIT) as (world, client):
        assert _closed(client)[0] == 1014
        assert world.server.http1.wait_until(lambda: bool(world.server.lines))
    assert world.server.lines[0]["cut_short"] == reason


@pytest.mark.parametrize("end", ["reset", "closes"])
def test_an_upstream_that_dies_is_no_clean_end(end: str) -> None:
    """PX9: what it had sent arrives, then 1014 (IANA registry of close codes: bad gateway)."""
    text = _frame(Opcode.TEXT, b"last", masked=False)
    with _opened(_Recorder(text if end == "closes" else b"", end=end)) as (world, client):
        assert end == "reset" or client.read_exactly(len(text)) == text
        assert _closed(client)[0] == 1014
        assert world.server.http1.wait_until(lambda: bool(world.server.lines))
    assert world.server.lines[0]["cut_short"] == "upstream_lost"


def test_a_frame_that_is_cut_short_never_looks_complete() -> None:
    """PX9: no close frame can be sent in the middle of another."""
    part = _frame(Opcode.TEXT, b"a" * 1_000, masked=False)[:500]
    with _opened(_Recorder(part, end="closes")) as (_, client):
        assert client.read_exactly(len(part)) == part
        assert client.closed()


@pytest.mark.parametrize("half", [True, False])
def test_a_client_that_leaves_ends_the_upstream(*, half: bool) -> None:
    """PX9: without a close frame, as its own connection ended; a half-close is no way to listen on."""
    recorder = _Recorder()
    with _opened(recorder) as (world, client):
        client.send(_frame(Opcode.TEXT, b"a"))
        if half:
            client.socket.shutdown(1)
            assert client.closed()
        else:
            client.socket.close()
        assert world.server.http1.wait_until(lambda: recorder.ended and bool(world.server.lines))
    assert recorder.received == _frame(Opcode.TEXT, b"a")[:2] + recorder.received[2:]
    assert len(recorder.received) == len(_frame(Opcode.TEXT, b"a"))
    assert world.server.lines[0]["cut_short"] == "client_lost"


class _Flood:
    """An upstream that sends without end."""

    def __init__(self) -> None:
        self.sent = 0

    def __call__(self, visit: Visit) -> None:
        visit.request()
        visit.send(SWITCHED.encode() + b"\r\n")
        piece = _frame(Opcode.BINARY, bytes(60_000), masked=False)
        while True:
            visit.socket.sendall(piece)
            self.sent += len(piece)


def test_a_reader_that_stops_is_ended_and_holds_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """PX11, LD2, LD3: the upstream is stopped, too."""
    monkeypatch.setattr(tunnel, "_STALLED", 0.3)
    flood = _Flood()
    with scripted(flood) as upstream, websockets_to(upstream) as world, ExitStack() as stack:
        client = world.opened()
        stack.callback(client.socket.close)
        memory = world.server.http1.memory
        assert world.server.http1.wait_until(lambda: memory.total > 0)
        assert memory.of("127.0.0.1") == memory.total < 500_000
        assert world.server.http1.wait_until(lambda: bool(world.server.lines))
        assert flood.sent < 20_000_000
        assert memory.total == 0
    assert world.server.lines[0]["cut_short"] == "slow_reader"


def test_limits_on_time_end_it() -> None:
    """PX12: messages keep it open beyond the idle limit; pings do not, and its life has an end."""
    with _opened(_Recorder(), idle_seconds=0.5) as (_, client):
        began = time.monotonic()
        for opcode in (Opcode.TEXT, Opcode.TEXT, Opcode.TEXT, Opcode.PING):
            client.send(_frame(opcode, b"a"))
            time.sleep(0.2)
        assert _closed(client) == (1001, "no message for too long")
        assert time.monotonic() - began > 0.9
    with _opened(_Recorder(), longest_seconds=0.1) as (_, client):
        assert _closed(client) == (1001, "open for too long")


def test_the_end_of_the_server_is_told() -> None:
    """OP1: with the code on which clients connect again."""
    recorder = _Recorder()
    with _opened(recorder) as (world, client):
        server = world.server.http1
        server.call_soon(server.connection.shutdown)
        assert _closed(client) == (1012, "the server stops")
        assert server.wait_until(lambda: recorder.ended)
        assert _close_code(recorder.received) == 1001


def test_a_close_frame_of_ours_waits_for_the_frame_under_way() -> None:
    """PX12: the client must be able to read it."""
    whole = _frame(Opcode.TEXT, b"a" * 1_000, masked=False)

    def script(visit: Visit) -> None:
        visit.request()
        visit.send(SWITCHED.encode() + b"\r\n" + whole[:500])
        received = b""
        while not received.startswith(b"\x88"):
            received = visit.socket.recv(100)
        visit.send(whole[500:] + _frame(Opcode.TEXT, b"never passes", masked=False))
        visit.wait_until_closed()

    with scripted(script) as upstream, websockets_to(upstream) as world:
        client = world.opened()
        assert client.read_exactly(500) == whole[:500]
        server = world.server.http1
        server.call_soon(server.connection.shutdown)
        assert client.read_exactly(len(whole) - 500) == whole[500:]
        assert _closed(client)[0] == 1012
        client.socket.close()


def test_a_client_that_does_not_close_is_cut_off() -> None:
    """OP1, ID5: within a second, whatever it sends, and none of that passes."""
    recorder = _Recorder()
    with _opened(recorder) as (world, client):
        server = world.server.http1
        server.call_soon(server.connection.shutdown)
        client.read_exactly(2)
        client.send(_frame(Opcode.TEXT, b"late"))
        assert server.wait_until(lambda: not server.connections)
    assert b"late" not in recorder.received
