"""What an ASGI application can see of a badly framed request (PX5, PX7)."""

import pytest

from gateway.edge.framing import FramingStage
from gateway.errors import HeadersTooLarge, MalformedRequest, UriTooLong
from tests.asgi import HOST, Header, http_scope, request_of

_MALFORMED: dict[str, list[Header]] = {
    "no Host": [],
    "two Hosts": [HOST, HOST],
    "two different Hosts": [HOST, (b"host", b"other.test")],
    "empty Host": [(b"host", b"")],
    "Host with a space": [(b"host", b"gateway.test other.test")],
    "Host with a path": [(b"host", b"gateway.test/admin")],
    "Host with user information": [(b"host", b"someone@gateway.test")],
    "Host with a port that is none": [(b"host", b"gateway.test:80a")],
    "two lengths": [HOST, (b"content-length", b"1"), (b"content-length", b"1")],
    "length with a sign": [HOST, (b"content-length", b"+1")],
    "length as a list": [HOST, (b"content-length", b"1, 1")],
    "length beyond 64 bits": [HOST, (b"content-length", b"9" * 30)],
    "empty length": [HOST, (b"content-length", b"")],
    "TE with CL": [HOST, (b"transfer-encoding", b"chunked"), (b"content-length", b"3")],
    "unknown coding": [HOST, (b"transfer-encoding", b"gzip, chunked")],
    "coding twice": [HOST, (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")],
    "two content types": [HOST, (b"content-type", b"application/json"), (b"content-type", b"text/plain")],
    "NUL in a value": [HOST, (b"x-note", b"a\0b")],
    "line feed in a value": [HOST, (b"x-note", b"a\nb")],
    "carriage return in a value": [HOST, (b"x-note", b"a\rb")],
    "DEL in a value": [HOST, (b"x-note", b"a\x7fb")],
    "control byte in a name": [HOST, (b"x\x01note", b"a")],
}


@pytest.mark.parametrize("headers", _MALFORMED.values(), ids=_MALFORMED.keys())
def test_a_badly_framed_request_is_refused_and_its_connection_closed(headers: list[Header]) -> None:
    """PX5."""
    request = request_of(http_scope(headers=headers))
    with pytest.raises(MalformedRequest):
        FramingStage()(request)
    assert request.response_headers == [(b"connection", b"close")]


@pytest.mark.parametrize(
    ("path", "raw", "query"),
    [("/a\0b", b"/a%00b", b""), ("/a\nb", b"/a%0Ab", b""), ("/a\x7f", b"/a%7F", b""), ("/", b"/", b"name=%00")],
    ids=["NUL", "line feed", "DEL", "NUL in the query"],
)
def test_a_control_byte_in_the_target_is_refused(path: str, raw: bytes, query: bytes) -> None:
    """PX5: before a template, a log or PostgreSQL could see it."""
    with pytest.raises(MalformedRequest):
        FramingStage()(request_of(http_scope(path=path, raw_path=raw, query=query)))


def test_headers_are_bounded_in_number_and_in_bytes() -> None:
    """PX7: 100 fields and 32 KB pass, one more of either does not."""
    stage = FramingStage()
    hundred = [HOST, *((f"x-{number}".encode(), b"1") for number in range(99))]
    stage(request_of(http_scope(headers=hundred)))
    with pytest.raises(HeadersTooLarge):
        stage(request_of(http_scope(headers=[*hundred, (b"x-more", b"1")])))
    room = 32_768 - len(b"".join(HOST)) - len(b"x")
    stage(request_of(http_scope(headers=[HOST, (b"x", b"a" * room)])))
    with pytest.raises(HeadersTooLarge):
        stage(request_of(http_scope(headers=[HOST, (b"x", b"a" * (room + 1))])))


def test_the_url_is_bounded_path_and_query_together() -> None:
    """PX7: 8 KB."""
    stage = FramingStage()
    stage(request_of(http_scope(path="/" * 8_000, query=b"q" * 192)))
    with pytest.raises(UriTooLong):
        stage(request_of(http_scope(path="/" * 8_000, query=b"q" * 193)))


@pytest.mark.parametrize(
    "host", [b"gateway.test", b"GATEWAY.test:8443", b"127.0.0.1:8000", b"[::1]:8000", b"[2001:db8::1]", b"localhost"]
)
def test_every_spelling_of_a_host_passes_where_any_host_may(host: bytes) -> None:
    """PX5 refuses bad requests, not unusual ones."""
    FramingStage()(request_of(http_scope(headers=[(b"host", host)])))


def test_only_configured_hosts_pass_where_some_are() -> None:
    """A link or a redirect built from a forged Host would lead away; with or without port, in any case."""
    stage = FramingStage(["Gateway.test", "[::1]"])
    for host in (b"gateway.test", b"GATEWAY.TEST:8000", b"[::1]", b"[::1]:8000"):
        stage(request_of(http_scope(headers=[(b"host", host)])))
    for host in (b"evil.test", b"gateway.test.evil.test", b"127.0.0.1"):
        with pytest.raises(MalformedRequest):
            stage(request_of(http_scope(headers=[(b"host", host)])))


def test_what_is_well_framed_passes() -> None:
    """Chunked bodies, lengths, tabs and bytes beyond ASCII in values (RFC 9110 section 5.5)."""
    for field in ((b"transfer-encoding", b"Chunked"), (b"content-length", b"17"), (b"x-note", b"tab\tand \xe9")):
        FramingStage()(request_of(http_scope(headers=[HOST, field])))
