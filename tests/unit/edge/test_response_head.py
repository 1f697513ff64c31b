"""Heads of answers as bytes, and what they promise (PX5, PX9)."""

import pytest

from gateway.edge.request_head import CHUNKED
from gateway.edge.response_head import HeadWriter

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


def test_of_each_name_the_last_line_is_remembered() -> None:
    """Every answer has an id of its own."""
    writer = HeadWriter()
    for number in range(10_000):
        writer.write(200, _COMMON, [(b"x-request-id", b"%d" % number), _LENGTH])
    assert len(writer._lines) == 3


def test_names_that_are_made_up_are_not_remembered_without_bound() -> None:
    writer = HeadWriter()
    for number in range(10_000):
        writer.write(200, _COMMON, [(b"x-%d" % number, b"a"), _LENGTH])
    assert len(writer._lines) <= 256
    assert writer.write(200, _COMMON, [_LENGTH])[1] == 5
