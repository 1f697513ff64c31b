"""The ends of bodies (PX5, DA2). For invalid ones see tests/integration/http1/raw_requests.py."""

import time

import pytest

from gateway.http1.request_body import ChunkedBody, DeclaredBody
from gateway.http1.rules import Rule
from gateway.problems.errors import MalformedRequest, PayloadTooLarge


def _feed(body: DeclaredBody | ChunkedBody, data: bytes, piece: int) -> tuple[bytes, bytes]:
    """The payload and the rest, with ``piece`` bytes per read."""
    payload = b""
    for begin in range(0, len(data), piece):
        more, rest = body.feed(data[begin : begin + piece])
        payload += more
        if body.ended:
            return payload, rest + data[begin + piece :]
    return payload, b""


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
def test_a_declared_body_ends_at_its_length(piece: int) -> None:
    """PX5."""
    body = DeclaredBody(5)
    assert _feed(body, b"helloGET /", piece) == (b"hello", b"GET /")
    assert body.ended


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
def test_a_chunked_body_ends_after_its_trailer(piece: int) -> None:
    """PX5: sizes in either case and with leading zeros, extensions, trailer fields."""
    sent = b'5\r\nhello\r\n00A;a;b=c;d="\\" e"\r\n0123456789\r\n0;z\r\nx-sum: 1\r\nx-more:\r\n\r\n'
    body = ChunkedBody(100)
    assert _feed(body, sent + b"GET /", piece) == (b"hello0123456789", b"GET /")
    assert body.ended


@pytest.mark.parametrize("piece", [1, 1000])
def test_a_chunked_body_is_limited_by_its_declared_sizes(piece: int) -> None:
    """DA2: before the chunk that exceeds the limit arrives."""
    body = ChunkedBody(8)
    assert _feed(body, b"8\r\n01234567\r\n", piece) == (b"01234567", b"")
    with pytest.raises(PayloadTooLarge):
        _feed(body, b"1\r\n", piece)


def test_extensions_are_limited_over_the_whole_body() -> None:
    """PX7: though each one is short."""
    body = ChunkedBody(1_000_000)
    with pytest.raises(PayloadTooLarge):
        _feed(body, (b"1;a=" + b"b" * 200 + b"\r\na\r\n") * 1_000, 4_096)


def test_tiny_chunks_do_not_block_the_event_loop() -> None:
    """PX7, LD1: a body of one-byte chunks is refused after 14 ms of CPU time; until it was, one read took 119 ms."""
    body = ChunkedBody(1_048_576)
    began = time.thread_time()
    with pytest.raises(PayloadTooLarge) as refused:
        body.feed(b"1\r\na\r\n" * 43_000)
    assert time.thread_time() - began < 0.1
    assert "chunks of the body are too small" in refused.value.message


def test_the_framing_of_chunks_is_limited_in_every_part_of_a_body() -> None:
    """PX7, LD1: 16 KB and an eighth of the payload so far, at the bound and one chunk beyond it."""
    tiny, framing = b"1\r\na\r\n", 5
    most = 16_384 // framing
    assert _feed(ChunkedBody(1_048_576), tiny * most, 4_096) == (b"a" * most, b"")
    with pytest.raises(PayloadTooLarge):
        _feed(ChunkedBody(1_048_576), tiny * (most + 1), 4_096)
    large = ChunkedBody(1_048_576)
    assert len(_feed(large, b"100\r\n" + b"a" * 256 + b"\r\n", 4_096)[0]) == 256
    with pytest.raises(PayloadTooLarge):  # the unused part of the bound on the payload gives no credit
        _feed(large, tiny * (most + 256 // 8 // framing + 1), 4_096)


@pytest.mark.parametrize("size", [64, 256, 65_536])
def test_usual_chunks_are_accepted_up_to_the_bound(size: int) -> None:
    """DA2: clients that stream lines or blocks."""
    limit = 1_048_576
    body = ChunkedBody(limit)
    chunk = b"%x\r\n%b\r\n" % (size, b"a" * size)
    payload, rest = _feed(body, chunk * (limit // size) + b"0\r\n\r\n", 256_000)
    assert (len(payload), rest, body.ended) == (limit, b"", True)


@pytest.mark.parametrize(("sent", "rule"), [(b"x\r\n", Rule.CHUNK_SIZE), (b"1\r\nabc", Rule.CHUNK_END)])
def test_invalid_chunks_name_the_rule(sent: bytes, rule: Rule) -> None:
    """PX5: in a constant text."""
    with pytest.raises(MalformedRequest) as refused:
        ChunkedBody(100).feed(sent)
    assert rule.value in refused.value.message


def test_an_endless_size_line_is_rejected() -> None:
    """PX7."""
    body = ChunkedBody(100)
    with pytest.raises(MalformedRequest):
        _feed(body, b"0" * 300, 1)
