"""Parsing of request heads. For invalid ones see also tests/integration/http1/raw_requests.py."""

import time

import pytest

from gateway.http1.request_head import CHUNKED, HeadReader, RequestHead
from gateway.problems.errors import HeadersTooLarge, MalformedRequest, UriTooLong
from tenants.errors import TenantryError

_HOST = b"Host: gateway.test\r\n"


def _reader() -> HeadReader:
    return HeadReader()


def _read(data: bytes) -> RequestHead:
    head = _reader().read(data)
    assert head is not None
    return head


def test_a_head_is_separated_from_the_following_bytes() -> None:
    """PX5."""
    sent = b"POST /a%20b?c=d&e HTTP/1.1\r\n" + _HOST + b"X-Note:  one two \r\nContent-Length: 5\r\n\r\n"
    head = _read(sent + b"hello")
    assert (head.method, head.path, head.query) == ("POST", b"/a%20b", b"c=d&e")
    assert (head.version, head.size) == ("1.1", len(sent))
    fields = head.fields
    assert fields.headers == [(b"host", b"gateway.test"), (b"x-note", b"one two"), (b"content-length", b"5")]
    assert (fields.host, fields.length, fields.closes, fields.expects) == (b"gateway.test", 5, False, False)


def test_framing_fields_are_case_insensitive() -> None:
    """PX5."""
    fields = _read(
        b"POST / HTTP/1.1\r\n"
        + _HOST
        + b"transfer-encoding: Chunked\r\nCONNECTION: x, Close\r\nexpect: 100-Continue\r\n\r\n"
    ).fields
    assert (fields.length, fields.closes, fields.expects) == (CHUNKED, True, True)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/", b"/"),
        (b"//two", b"//two"),
        (b"http://gateway.test/a", b"/a"),
        (b"HTTPS://GATEWAY.TEST/a", b"/a"),
        (b"http://gateway.test", b"/"),
        (b"http://gateway.test?a", b"/"),
        (b"*", b"*"),
    ],
)
def test_every_form_of_request_target_yields_a_path(target: bytes, path: bytes) -> None:
    """RFC 9112 section 3.2."""
    assert _read(b"OPTIONS " + target + b" HTTP/1.1\r\n" + _HOST + b"\r\n").path == path


def test_an_incomplete_head_is_none() -> None:
    """PX5: wherever it is cut."""
    sent = b"\r\nGET /a?b HTTP/1.1\r\n" + _HOST + b"X-Note: a\r\n\r\n"
    reader = _reader()
    assert [reader.read(sent[:count]) for count in range(len(sent))] == [None] * len(sent)
    assert reader.read(sent) == _read(sent)


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"\x16\x03\x01", MalformedRequest),
        (b"GET / HTTP/1.1\n", MalformedRequest),
        (b"GET / HTTP/1.1\r\nHost: a\nb", MalformedRequest),
        (b"GET / HTTP/1.1\r\nHost: a\rb", MalformedRequest),
        (b"SSH-2.0-OpenSSH_9.2\r\n", MalformedRequest),
        (b"GET /" + b"a" * 8_300, UriTooLong),
        (b"GET / HTTP/1.1\r\nX-Note: " + b"a" * 32_800, HeadersTooLarge),
    ],
)
def test_a_hopeless_partial_head_is_rejected_early(sent: bytes, error: type[TenantryError]) -> None:
    """PX5, PX7: in one piece, and byte by byte."""
    with pytest.raises(error):
        _reader().read(sent)
    reader = _reader()
    with pytest.raises(error):
        _ = [reader.read(sent[:count]) for count in range(1, len(sent) + 1)]


def test_the_cache_is_used_only_for_identical_bytes() -> None:
    """PX5."""
    reader = _reader()
    line = b"GET / HTTP/1.1\r\n"
    first = reader.read(line + _HOST + b"X-API-Key: one\r\n\r\n")
    again = reader.read(line + _HOST + b"X-API-Key: one\r\n\r\n")
    other = reader.read(line + _HOST + b"X-API-Key: two\r\n\r\n")
    assert first == again
    assert other is not None
    assert other.fields.headers[1] == (b"x-api-key", b"two")
    with pytest.raises(MalformedRequest):
        reader.read(line + _HOST + _HOST + b"\r\n")


def test_cached_fields_are_validated_again_for_another_version() -> None:
    """PX5: HTTP/1.0 has no Transfer-Encoding."""
    reader = _reader()
    rest = _HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    assert reader.read(b"POST / HTTP/1.1\r\n" + rest)
    with pytest.raises(MalformedRequest):
        reader.read(b"POST / HTTP/1.0\r\n" + rest)


@pytest.mark.parametrize("lines", [[0], [3], [0, 1, 2, 3], [2, 1, 0], [0, 0, 1], [0, 2, 3, 1], [0, 1, 2, 3, 4, 5]])
def test_the_cache_makes_no_difference(lines: list[int]) -> None:
    """PX5: more, fewer, other or reordered lines parse as on a new connection."""
    pool = [
        _HOST,
        b"X-API-Key: a\r\n",
        b"X-API-Key: b\r\n",
        b"Accept: c\r\n",
        b"Content-Length: 5\r\n",
        b"Accept: d\r\n",
    ]
    reader = _reader()
    reader.read(b"GET / HTTP/1.1\r\n" + b"".join(pool[:4]) + b"\r\n")
    for _ in range(2):
        sent = b"GET / HTTP/1.1\r\n" + b"".join(pool[number] for number in lines) + b"\r\n"
        outcomes: list[object] = []
        for each in (reader, _reader()):
            try:
                outcomes.append(each.read(sent))
            except MalformedRequest as error:
                outcomes.append(error.detail)
        assert outcomes[0] == outcomes[1]


def test_the_cache_is_bounded() -> None:
    """PX7: a long head is parsed again each time."""
    reader = _reader()
    sent = b"GET / HTTP/1.1\r\n" + _HOST + b"X-Note: " + b"a" * 5_000 + b"\r\n\r\n"
    assert reader.read(sent) == reader.read(sent)
    assert reader._cached_block == b""


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"%20" * 10_900,
        b"GET / HTTP/1.1\r\n" + b"a" * 32_000,
        b"GET / HTTP/1.1\r\nx: " + b"a \t" * 10_900,
        b"GET / HTTP/1.1\r\nx:" + b" " * 32_700 + b"\r\n\r\n",
        b"GET http://" + b"a" * 8_000 + b" " * 8_000,
        b"GET / HTTP/1.1\r\n" + b"x\r\n" * 10_000,
    ],
    ids=["encoded", "name", "words", "white space", "authority", "lines"],
)
def test_no_head_takes_long_to_reject(sent: bytes) -> None:
    """PX7: no backtracking. One takes about 100 µs; a second is for a loaded machine."""
    began = time.process_time()
    for _ in range(10):
        try:
            assert _reader().read(sent) is None
        except TenantryError:
            continue
    assert time.process_time() - began < 1.0
