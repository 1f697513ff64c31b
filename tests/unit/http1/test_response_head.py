"""Heads of answers as bytes, and what they promise (PX5, PX9)."""

import pytest

from gateway.http1.request_head import CHUNKED
from gateway.http1.response_head import HeadWriter
from gateway.http1.security_headers import security_headers

_LENGTH = (b"content-length", b"5")
_COMMON = [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")]
_CHUNKED = (b"Transfer-Encoding", b"Chunked")


def test_names_are_written_in_lower_case_and_values_as_they_are() -> None:
    """RFC 9112 section 5; bytes beyond ASCII pass, as they do under uvicorn's own protocol."""
    lines, _, _ = HeadWriter().write(200, _COMMON, [(b"X-Note", b"\xe9 A\tb"), (b"x-empty", b"")])
    assert b"".join(lines) == (
        b"HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\nx-note: \xe9 A\tb\r\nx-empty: \r\n"
    )


def test_the_date_of_an_answer_is_the_servers_latest() -> None:
    """RFC 9110 section 6.6.1: the server hands over another list every second."""
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
def test_a_head_tells_what_follows_it(headers: list[tuple[bytes, bytes]], length: int | None, *, closes: bool) -> None:
    """PX9: also when its lines were written before."""
    writer = HeadWriter()
    for _ in range(2):
        assert writer.write(200, _COMMON, headers)[1:] == (length, closes)


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
def test_what_would_break_the_head_is_not_written(header: tuple[bytes, bytes]) -> None:
    """PX5: nor is it the second time."""
    writer = HeadWriter()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            writer.write(200, _COMMON, [header])


def test_values_that_change_are_written_as_they_are_and_not_remembered() -> None:
    """Every answer has an id of its own."""
    writer = HeadWriter()
    for number in range(10_000):
        note = (b"x-note", b"%d" % (number // 3))
        assert _fields(writer, (b"X-Request-Id", b"%d" % number), _LENGTH, note)[1:] == [
            b"x-request-id: %d" % number,
            b"content-length: 5",
            b"x-note: %d" % (number // 3),
        ]
    assert {each[0] for each in writer._lines.values()} == {None, b"5", _COMMON[0][1]}


def test_a_value_that_changes_is_checked_every_time() -> None:
    """PX5."""
    writer = HeadWriter()
    for number in range(5):
        writer.write(200, _COMMON, [(b"x-request-id", b"%d" % number)])
    for bad in (b"a\r\nb", b"a\0b"):
        with pytest.raises(RuntimeError):
            writer.write(200, _COMMON, [(b"x-request-id", bad), _LENGTH])
    assert _fields(writer, (b"x-request-id", b"6"))[1:] == [b"x-request-id: 6"]


def test_a_length_that_changes_is_still_told() -> None:
    """PX9."""
    writer = HeadWriter()
    for number in range(5):
        assert writer.write(200, _COMMON, [(b"content-length", b"%d" % number)])[1] == number


def test_names_that_are_made_up_are_not_remembered_without_bound() -> None:
    writer = HeadWriter()
    for number in range(10_000):
        writer.write(200, _COMMON, [(b"x-%d" % number, b"a"), _LENGTH])
    assert len(writer._lines) <= 256
    assert writer.write(200, _COMMON, [_LENGTH])[1] == 5


def _fields(writer: HeadWriter, *headers: tuple[bytes, bytes]) -> list[bytes]:
    lines, _, _ = writer.write(200, _COMMON, headers)
    return b"".join(lines).splitlines()[1:]


def test_every_answer_carries_the_security_headers() -> None:
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


def test_hsts_is_sent_where_callers_come_by_https() -> None:
    """CO2."""
    assert b"strict-transport-security: max-age=63072000" in _fields(HeadWriter(security_headers(https=True)))


def test_what_an_answer_sets_itself_is_kept_and_never_doubled() -> None:
    """CO2: in whatever case it is spelled, and the next answer has the default again."""
    writer = HeadWriter(security_headers(https=True))
    for _ in range(2):
        own = (b"Cache-Control", b"max-age=60"), (b"content-security-policy", b"default-src 'self'")
        fields = _fields(writer, *own)
        assert [field for field in fields if field.startswith(b"cache-control")] == [b"cache-control: max-age=60"]
        assert [field for field in fields if b"policy: d" in field] == [b"content-security-policy: default-src 'self'"]
        assert b"x-content-type-options: nosniff" in fields
        assert b"cache-control: no-store" in _fields(writer)


def test_a_new_date_leaves_the_defaults_as_they_are() -> None:
    writer = HeadWriter([(b"cache-control", b"no-store")])
    for date in (b"one", b"two"):
        lines, _, _ = writer.write(200, [(b"date", date)], [])
        assert b"".join(lines) == b"HTTP/1.1 200 OK\r\ndate: " + date + b"\r\ncache-control: no-store\r\n"
