"""Where bodies end (PX5, DA2). What is refused stands in the table of raw requests, with the integration tests."""

import time

import pytest

from gateway.http1.request_body import ChunkedBody, DeclaredBody
from gateway.problems.errors import MalformedRequest, PayloadTooLarge


def _fed(body: DeclaredBody | ChunkedBody, data: bytes, piece: int) -> tuple[bytes, bytes]:
    """The payload and the rest, when the bytes come ``piece`` at a time."""
    payload = b""
    for begin in range(0, len(data), piece):
        more, rest = body.feed(data[begin : begin + piece])
        payload += more
        if body.ended:
            return payload, rest + data[begin + piece :]
    return payload, b""


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
def test_a_declared_body_ends_where_it_says(piece: int) -> None:
    """PX5."""
    body = DeclaredBody(5)
    assert _fed(body, b"helloGET /", piece) == (b"hello", b"GET /")
    assert body.ended


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
def test_a_chunked_body_ends_behind_its_trailer(piece: int) -> None:
    """PX5: sizes in any case and with leading zeros, extensions, trailer fields."""
    sent = b'5\r\nhello\r\n00A;a;b=c;d="\\" e"\r\n0123456789\r\n0;z\r\nx-sum: 1\r\nx-more:\r\n\r\n'
    body = ChunkedBody(100)
    assert _fed(body, sent + b"GET /", piece) == (b"hello0123456789", b"GET /")
    assert body.ended


@pytest.mark.parametrize("piece", [1, 1000])
def test_a_chunked_body_is_bounded_by_what_its_sizes_announce(piece: int) -> None:
    """DA2: before a byte of the chunk has come that passes the bound."""
    body = ChunkedBody(8)
    assert _fed(body, b"8\r\n01234567\r\n", piece) == (b"01234567", b"")
    with pytest.raises(PayloadTooLarge):
        _fed(body, b"1\r\n", piece)


def test_extensions_are_bounded_over_the_whole_body() -> None:
    """PX7: each of them is short."""
    body = ChunkedBody(1_000_000)
    with pytest.raises(PayloadTooLarge):
        _fed(body, (b"1;a=" + b"b" * 200 + b"\r\na\r\n") * 1_000, 4_096)


def test_the_smallest_chunks_do_not_keep_the_loop() -> None:
    """PX7: a body of them is refused before it has cost a tenth of a second, one read before half of that."""
    body = ChunkedBody(1_048_576)
    began = time.process_time()
    with pytest.raises(PayloadTooLarge):
        _fed(body, b"1\r\na\r\n" * 400_000, 256_000)
    assert time.process_time() - began < 1.0


def test_a_line_that_does_not_end_is_not_waited_for() -> None:
    """PX7."""
    body = ChunkedBody(100)
    with pytest.raises(MalformedRequest):
        _fed(body, b"0" * 300, 1)
