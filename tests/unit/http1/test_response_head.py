"""Serialisation of response heads and their framing (PX5, PX9)."""

import pytest

from gateway.http1.request_head import CHUNKED
from gateway.http1.response_head import FieldBlock, HeadWriter, security_headers

_LENGTH = (b"content-length", b"5")
_SERVER_HEADERS = [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")]
_CHUNKED = (b"Transfer-Encoding", b"Chunked")


def test_names_are_lower_cased_and_values_unchanged() -> None:
    """RFC 9112 section 5; non-ASCII bytes pass, as with uvicorn's own protocol."""
    lines, _, _ = HeadWriter().write(200, _SERVER_HEADERS, [(b"X-Note", b"\xe9 A\tb"), (b"x-empty", b"")])
    assert b"".join(lines) == (
        b"HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\nx-note: \xe9 A\tb\r\nx-empty: \r\n"
    )


def test_the_date_is_the_server_s_latest() -> None:
    """RFC 9110 section 6.6.1: uvicorn passes a new list every second."""
    writer = HeadWriter()
    for date in (b"one", b"two"):
        lines, _, _ = writer.write(200, [(b"date", date)], [])
        assert b"".join(lines) == b"HTTP/1.1 200 OK\r\ndate: " + date + b"\r\n"


@pytest.mark.parametrize(
    ("headers", "length", "closes"),
    [
        ([], None, False),
        ([_LENGTH], 5, False),
        ([_CHUNKED], CHUNKED, False),
        ([_LENGTH, _CHUNKED], CHUNKED, False),
        ([(b"connection", b"close")], None, True),
        ([(b"Connection", b"x-note, Close"), _LENGTH], 5, True),
        ([(b"connection", b"keep-alive")], None, False),
        ([(b"connection", b"closed")], None, False),
    ],
)
def test_a_head_reports_its_framing(headers: list[tuple[bytes, bytes]], length: int | None, *, closes: bool) -> None:
    """PX9: also from cached lines."""
    writer = HeadWriter()
    for _ in range(2):
        assert writer.write(200, _SERVER_HEADERS, headers)[1:] == (length, closes)


@pytest.mark.parametrize(
    "header",
    [
        (b"x-note", b"a\r\nb"),
        (b"x-note", b"a\nb"),
        (b"x-note", b"a\0b"),
        (b"x-note", b"\x7f"),
        (b"x note", b"a"),
        (b"", b"a"),
    ],
)
def test_invalid_names_and_values_are_rejected(header: tuple[bytes, bytes]) -> None:
    """PX5: the second time as well."""
    writer = HeadWriter()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            writer.write(200, _SERVER_HEADERS, [header])


def test_changing_values_are_written_and_not_cached() -> None:
    """Every response has its own request id."""
    writer = HeadWriter()
    for number in range(10_000):
        note = (b"x-note", b"%d" % (number // 3))
        assert _fields(writer, (b"X-Request-Id", b"%d" % number), _LENGTH, note)[1:] == [
            b"x-request-id: %d" % number,
            b"content-length: 5",
            b"x-note: %d" % (number // 3),
        ]
    assert {line.value for line in writer._lines.values()} == {None, b"5", _SERVER_HEADERS[0][1]}


def test_a_changing_value_is_validated_every_time() -> None:
    """PX5."""
    writer = HeadWriter()
    for number in range(5):
        writer.write(200, _SERVER_HEADERS, [(b"x-request-id", b"%d" % number)])
    for bad in (b"a\r\nb", b"a\0b"):
        with pytest.raises(RuntimeError):
            writer.write(200, _SERVER_HEADERS, [(b"x-request-id", bad), _LENGTH])
    assert _fields(writer, (b"x-request-id", b"6"))[1:] == [b"x-request-id: 6"]


def test_a_changing_length_is_reported() -> None:
    """PX9."""
    writer = HeadWriter()
    for number in range(5):
        assert writer.write(200, _SERVER_HEADERS, [(b"content-length", b"%d" % number)])[1] == number


def test_connection_close_is_reported_after_other_connection_options() -> None:
    """PX9: a field that frames the message is never treated as one whose value merely changes."""
    writer = HeadWriter()
    for option in (b"keep-alive", b"upgrade"):
        assert writer.write(200, _SERVER_HEADERS, [(b"connection", option)])[2] is False
    assert writer.write(200, _SERVER_HEADERS, [(b"connection", b"close")])[2] is True


def test_the_cache_of_names_is_bounded() -> None:
    writer = HeadWriter()
    for number in range(10_000):
        writer.write(200, _SERVER_HEADERS, [(b"x-%d" % number, b"a"), _LENGTH])
    assert len(writer._lines) <= 256
    assert writer.write(200, _SERVER_HEADERS, [_LENGTH])[1] == 5


def _fields(writer: HeadWriter, *headers: tuple[bytes, bytes]) -> list[bytes]:
    lines, _, _ = writer.write(200, _SERVER_HEADERS, headers)
    return b"".join(lines).splitlines()[1:]


def test_every_response_has_the_security_headers() -> None:
    """CO2."""
    fields = _fields(HeadWriter(security_headers(https=False)))
    policy = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    assert set(fields) == {
        b"date: Thu, 01 Jan 1970 00:00:00 GMT",
        b"x-content-type-options: nosniff",
        b"content-security-policy: " + policy,
        b"referrer-policy: no-referrer",
        b"cache-control: no-store",
    }


def test_hsts_is_sent_where_clients_use_https() -> None:
    """CO2."""
    assert b"strict-transport-security: max-age=63072000" in _fields(HeadWriter(security_headers(https=True)))


def test_a_header_of_the_response_replaces_the_default() -> None:
    """CO2: case-insensitively, and for that response only."""
    writer = HeadWriter(security_headers(https=True))
    for _ in range(2):
        own = (b"Cache-Control", b"max-age=60"), (b"content-security-policy", b"default-src 'self'")
        fields = _fields(writer, *own)
        assert [field for field in fields if field.startswith(b"cache-control")] == [b"cache-control: max-age=60"]
        assert [field for field in fields if b"policy: d" in field] == [b"content-security-policy: default-src 'self'"]
        assert b"x-content-type-options: nosniff" in fields
        assert b"cache-control: no-store" in _fields(writer)


def test_a_new_date_keeps_the_defaults() -> None:
    writer = HeadWriter([(b"cache-control", b"no-store")])
    for date in (b"one", b"two"):
        lines, _, _ = writer.write(200, [(b"date", date)], [])
        assert b"".join(lines) == b"HTTP/1.1 200 OK\r\ndate: " + date + b"\r\ncache-control: no-store\r\n"


_HSTS = b"strict-transport-security: max-age=63072000"


@pytest.mark.parametrize(
    ("sent", "added"),
    [
        ([], [b"date: Thu, 01 Jan 1970 00:00:00 GMT", _HSTS]),
        ([(b"date", b"upstream's"), (b"cache-control", b"public")], [_HSTS]),
        ([(b"strict-transport-security", b"max-age=1")], [b"date: Thu, 01 Jan 1970 00:00:00 GMT"]),
    ],
)
def test_a_proxied_response_gets_no_field_that_the_upstream_decides(
    sent: list[tuple[bytes, bytes]], added: list[bytes]
) -> None:
    """PX9: neither cache-control nor a content policy, and one Date; an answer of our own between them has them all."""
    writer = HeadWriter(security_headers(https=True))
    own = _fields(writer, _LENGTH)
    for _ in range(2):
        lines, _, _ = writer.write(200, _SERVER_HEADERS, sent, proxied=True)
        assert b"".join(lines).split(b"\r\n")[1:-1] == [*added, *(name + b": " + value for name, value in sent)]
        assert _fields(writer, _LENGTH) == own


@pytest.mark.parametrize(
    "sent",
    [
        [(b"content-length", b"7"), (b"x-note", b"1")],
        [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT"), (b"strict-transport-security", b"max-age=1"), (b"x-a", b"")],
        [],
    ],
)
def test_a_block_of_fields_is_written_as_its_fields_are(sent: list[tuple[bytes, bytes]]) -> None:
    """Rendered once, beside the fields of the gate; the same bytes and the same framing."""
    writer = HeadWriter(security_headers(https=True))
    own = [(b"x-request-id", b"req_1")]
    for _ in range(2):
        one_by_one = writer.write(200, _SERVER_HEADERS, [*sent, *own], proxied=True)
        as_block = writer.write(200, _SERVER_HEADERS, own, proxied=FieldBlock.of(sent))
        assert (b"".join(as_block[0]), *as_block[1:]) == (b"".join(one_by_one[0]), *one_by_one[1:])


@pytest.mark.parametrize("field", [(b"x-note", b"a\r\nb"), (b"x-note", b"a\0"), (b"x note", b"a"), (b"", b"a")])
def test_a_block_of_fields_is_validated(field: tuple[bytes, bytes]) -> None:
    """PX5: also what a parser has validated before."""
    with pytest.raises(RuntimeError):
        FieldBlock.of([field])
