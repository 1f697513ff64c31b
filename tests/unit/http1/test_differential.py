"""Differential tests: our parser against itself with other read boundaries, and against h11 and httptools (PX5).

Generated streams contain valid and almost valid requests, with single bytes changed. What we accept, h11 and httptools
must parse to the same requests; what we reject, they may accept.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

import h11
import httptools
from hypothesis import event, given
from hypothesis import strategies as st

from gateway.http1.request_body import ChunkedBody, DeclaredBody
from gateway.http1.request_head import CHUNKED, HeadReader
from tenants.errors import TenantryError

_LIMIT = 1_000


@dataclass(slots=True)
class _Request:
    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    complete: bool = False


@dataclass(slots=True)
class _Connection:
    """Parses a stream as the protocol does, without a socket."""

    reader: HeadReader = field(default_factory=HeadReader)
    requests: list[_Request] = field(default_factory=list)
    body: DeclaredBody | ChunkedBody | None = None
    buffer: bytes = b""
    rejected: bool = False
    last: bool = False  # the connection closes after this request

    @property
    def completed(self) -> list[_Request]:
        """Requests with a complete body. How much of an invalid body is read before its rejection is unspecified."""
        return [request for request in self.requests if request.complete]

    def feed(self, data: bytes) -> None:
        if self.rejected:
            return
        data, self.buffer = self.buffer + data, b""
        try:
            while data and (self.body or not self.last):
                data = self._read_body(self.body, data) if self.body else self._read_head(data)
        except TenantryError:
            self.rejected = True

    def _read_head(self, data: bytes) -> bytes:
        head = self.reader.read(data)
        if head is None:
            self.buffer = data
            return b""
        fields = head.fields
        target = head.path + (b"?" + head.query if head.query else b"")
        self.requests.append(_Request(head.method, target, fields.headers, complete=not fields.length))
        if fields.length:
            self.body = ChunkedBody(_LIMIT) if fields.length == CHUNKED else DeclaredBody(fields.length)
        self.last = fields.closes or head.version == "1.0"
        return data[head.size :]

    def _read_body(self, body: DeclaredBody | ChunkedBody, data: bytes) -> bytes:
        payload, rest = body.feed(data)
        self.requests[-1].body += payload
        if body.ended:
            self.body, self.requests[-1].complete = None, True
        return rest


def _ours(data: bytes, cuts: Sequence[int] = ()) -> _Connection:
    connection = _Connection()
    edges = [0, *sorted(cuts), len(data)]
    for begin, end in pairwise(edges):
        if begin < end:
            connection.feed(data[begin:end])
    return connection


# Generated requests, some of them invalid.


def _mostly(good: list[bytes], bad: list[bytes]) -> st.SearchStrategy[bytes]:
    """One in twelve is bad."""
    return st.integers(0, 11).flatmap(lambda number: st.sampled_from(good if number else bad))


_METHODS = _mostly([b"GET", b"POST", b"OPTIONS", b"HEAD"], [b"BREW", b"get", b"CONNECT"])
_TARGETS = _mostly([b"/", b"/a/b?c=d", b"/%41?e[f]=%20", b"//x", b"http://h/x"], [b"/a%zz", b"/#", b"*", b"http://x/"])
_VERSIONS = _mostly([b"HTTP/1.1"], [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.1 "])
_LINES = _mostly(
    [b"X-Note: a b", b"x-note:\tc \t", b"X-Empty:", b"X-Latin: \xe9", b"Connection: keep-alive", b"Connection: Close"],
    [
        b"Host: h",
        b" folded",
        b"X-Space : a",
        b"x\x01: a",
        b"Content-Length: 3",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
    ],
)
_LENGTHS = _mostly([b"%d", b"0%d"], [b"+%d", b"1%d", b"%d, 3"])
_SIZES = _mostly([b"3", b"03", b"3;x", b'3;x="y"'], [b"3 ", b"0x3", b"4", b"+3", b"2"])
_TRAILERS = _mostly([b"", b"x-sum: 1\r\n"], [b"x-sum 1\r\n", b" \r\n"])


@st.composite
def _bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A header line that frames a body, and the body."""
    kind = draw(st.sampled_from(["none", "declared", "chunked"]))
    if kind == "none":
        return b"", b""
    if kind == "declared":
        content = draw(st.sampled_from([b"", b"abc", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"]))
        return b"Content-Length: " + draw(_LENGTHS) % len(content) + b"\r\n", content
    chunks = b"".join(draw(_SIZES) + b"\r\nabc\r\n" for _ in range(draw(st.integers(0, 3))))
    return b"Transfer-Encoding: chunked\r\n", chunks + b"0\r\n" + draw(_TRAILERS) + b"\r\n"


@st.composite
def _requests(draw: st.DrawFn) -> bytes:
    framing, body = draw(_bodies())
    lines = b"".join(line + b"\r\n" for line in draw(st.lists(_LINES, max_size=2)))
    start = draw(_METHODS) + b" " + draw(_TARGETS) + b" " + draw(_VERSIONS)
    return start + b"\r\nHost: h\r\n" + lines + framing + b"\r\n" + body


@st.composite
def _streams(draw: st.DrawFn) -> bytes:
    stream = bytearray(b"".join(draw(st.lists(_requests(), min_size=1, max_size=3))))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        at = draw(st.integers(0, len(stream) - 1))
        stream[at : at + draw(st.integers(0, 1))] = draw(
            st.sampled_from([b"", b"\r", b"\n", b"\r\n", b" ", b"\0", b":", b"1", b"a"])
        )
    return bytes(stream)


@given(_streams(), st.lists(st.integers(0, 400), max_size=6))
def test_read_boundaries_make_no_difference(stream: bytes, cuts: list[int]) -> None:
    """PX5: in one read, in several, and byte by byte."""
    whole = _ours(stream)
    event("rejected" if whole.rejected else "accepted")
    for cut in (cuts, range(len(stream))):
        pieces = _ours(stream, [each for each in cut if each < len(stream)])
        assert (pieces.completed, len(pieces.requests), pieces.rejected) == (
            whole.completed,
            len(whole.requests),
            whole.rejected,
        )


@given(_streams())
def test_other_parsers_find_the_same_requests_in_what_we_accept(stream: bytes) -> None:
    """PX5: a proxy before or an upstream behind sees no request that we do not see."""
    ours = _ours(stream).completed
    event(f"{len(ours)} requests")
    by_h11, by_httptools = _read_by_h11(stream), _read_by_httptools(stream)
    assert len(by_httptools) >= len(ours)
    assert len(by_h11) >= min(1, len(ours))  # it rejects an empty line between requests
    for theirs in (by_h11, by_httptools):
        for mine, other in zip(ours, theirs, strict=False):
            assert (other.method, other.body, other.complete) == (mine.method, mine.body, True)
            assert other.target.endswith(mine.target)
            assert other.headers == mine.headers


def _read_by_h11(stream: bytes) -> list[_Request]:
    found: list[_Request] = []
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(stream.removeprefix(b"\r\n"))
    connection.receive_data(b"")
    with suppress(h11.ProtocolError):
        _follow(connection, found)
    return found


def _follow(connection: h11.Connection, found: list[_Request]) -> None:
    while True:
        event = connection.next_event()
        match event:
            case h11.Request():
                headers = [(bytes(name), bytes(value)) for name, value in event.headers]
                found.append(_Request(event.method.decode(), event.target, headers))
            case h11.Data():
                found[-1].body += bytes(event.data)
            case h11.EndOfMessage():
                found[-1].complete = True
                connection.send(h11.Response(status_code=204, headers=[]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is h11.MUST_CLOSE:
                    return
                connection.start_next_cycle()
            case _:
                return


class _Recorder:
    """Callbacks for httptools."""

    def __init__(self) -> None:
        self.found: list[_Request] = []
        self.parser = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self.found.append(_Request("", b"", []))

    def on_url(self, url: bytes) -> None:
        self.found[-1].target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.found[-1].method:  # also called for trailers; a trailing tab stays in the value
            self.found[-1].headers.append((name.lower(), value.rstrip(b"\t ")))

    def on_headers_complete(self) -> None:
        self.found[-1].method = self.parser.get_method().decode()

    def on_body(self, body: bytes) -> None:
        self.found[-1].body += body

    def on_message_complete(self) -> None:
        self.found[-1].complete = True


def _read_by_httptools(stream: bytes) -> list[_Request]:
    recorder = _Recorder()
    recorder.parser.set_dangerous_leniencies(lenient_data_after_close=True)
    with suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
        recorder.parser.feed_data(stream)
    return recorder.found
