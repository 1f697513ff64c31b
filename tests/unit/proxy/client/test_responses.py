"""Responses are read strictly: what has one meaning is delivered, everything else is a failure that is named."""

import asyncio

import pytest

from gateway.proxy.client.errors import BadResponse, ConnectionLost, ResponseTimedOut
from gateway.proxy.client.incoming import ChunkedResponse
from tests.fixtures.pools import GET, begin, exchange, pool_to, until
from tests.fixtures.upstreams import UpstreamSide, always, answer, once, scripted_upstream

pytestmark = pytest.mark.anyio

HEAD = GET.replace(b"GET", b"HEAD")
_CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
_LARGE = bytes(range(256)) * 400  # 100 KB
_FILLED = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: "
_MOST_FIELDS, _MOST_HEAD = 100, 65_536


def _of_size(size: int) -> bytes:
    return _FILLED + b"y" * (size - len(_FILLED) - 4) + b"\r\n\r\n"


def _with_fields(count: int) -> bytes:
    return b"HTTP/1.1 204 No Content\r\n" + b"a: b\r\n" * count + b"\r\n"


@pytest.mark.parametrize(
    ("request_head", "response", "body", "reusable"),
    [
        pytest.param(GET, answer(b"abc"), b"abc", True, id="length"),
        pytest.param(GET, answer(), b"", True, id="empty"),
        pytest.param(GET, answer(_LARGE), _LARGE, True, id="large"),
        pytest.param(GET, b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", b"", True, id="no_reason"),
        pytest.param(GET, _CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", b"abc", True, id="chunked"),
        pytest.param(GET, _CHUNKED + b'3;a="b"\r\nabc\r\n0\r\nx: y\r\n\r\n', b"abc", True, id="extension_and_trailer"),
        pytest.param(GET, b"HTTP/1.1 204 No Content\r\n\r\n", b"", True, id="204"),
        pytest.param(GET, b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", b"", True, id="304"),
        pytest.param(HEAD, answer(b"abc")[:-3], b"", True, id="head"),
        pytest.param(HEAD, _CHUNKED, b"", True, id="head_chunked"),
        pytest.param(HEAD, b"HTTP/1.1 200 OK\r\n\r\n", b"", True, id="head_without_length"),
        pytest.param(GET, answer(b"abc", b"200 OK", b"connection: x, Close"), b"abc", False, id="close"),
        pytest.param(GET, b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na", b"a", False, id="1.0"),
        pytest.param(
            GET, b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\na", b"a", True, id="1.0_keeps"
        ),
        pytest.param(GET, b"HTTP/1.1 200 OK\r\n\r\nabc", b"abc", False, id="until_close"),
        pytest.param(
            GET, b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 10 + answer(b"a"), b"a", True, id="10_interim"
        ),
        pytest.param(GET, _of_size(_MOST_HEAD), b"", True, id="64_kb_head"),
        pytest.param(GET, _with_fields(_MOST_FIELDS), b"", True, id="100_fields"),
        pytest.param(GET, answer(b"abc") + answer(b"poison"), b"abc", False, id="garbage_after_length"),
        pytest.param(GET, _CHUNKED + b"0\r\n\r\nHTTP/1.1 200 OK\r\n", b"", False, id="garbage_after_chunks"),
        pytest.param(GET, b"HTTP/1.1 204 No Content\r\n\r\npoison", b"", False, id="body_of_204"),
        pytest.param(GET, b"HTTP/1.1 304 Not Modified\r\n\r\npoison", b"", False, id="body_of_304"),
        pytest.param(HEAD, answer(b"poison"), b"", False, id="body_of_head"),
        pytest.param(
            GET, b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n", b"", False, id="chunked_204"
        ),
    ],
)
async def test_body_of_a_valid_response(request_head: bytes, response: bytes, body: bytes, *, reusable: bool) -> None:
    """PX5, PX9: the body ends where RFC 9112 section 6.3 says, and what follows it reaches no other exchange."""
    async with scripted_upstream(once(response)) as upstream, pool_to(upstream.url) as pool:
        outcome = await exchange(pool, request_head)
        assert (outcome.failure, outcome.body, outcome.reusable) == (None, body, reusable)
        assert pool.idle == int(reusable)


@pytest.mark.parametrize(
    ("response", "rule"),
    [
        pytest.param(b"HTTP/2 200 OK\r\n\r\n", "status_line", id="version"),
        pytest.param(b"\r\nHTTP/1.1 200 OK\r\n\r\n", "status_line", id="empty_line_before"),
        pytest.param(b"HTTP/1.1 099 OK\r\n\r\n", "status_line", id="status_99"),
        pytest.param(b"HTTP/1.1 600 OK\r\n\r\n", "status_line", id="status_600"),
        pytest.param(b"HTTP/1.1  200 OK\r\n\r\n", "status_line", id="two_spaces"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", "status_line", id="other_protocol"),
        pytest.param(b"HTTP/1.1 200 O\x00K\r\n\r\n", "status_line", id="nul"),
        pytest.param(b"HTTP/1.1 200 OK\na: b\r\n\r\n", "status_line", id="bare_lf_after_status"),
        pytest.param(b"HTTP/1.1 200 OK\n\n", "bare_lf", id="bare_lf_only"),
        pytest.param(b"HTTP/1.1 200 OK\r\na: b\nc: d\r\n\r\n", "bare_lf", id="bare_lf"),
        pytest.param(b"HTTP/1.1 200 OK\r\na: b\rc: d\r\n\r\n", "bare_cr", id="bare_cr"),
        pytest.param(b"HTTP/1.1 200 OK\r\na: b\r\n c: d\r\n\r\n", "folded_line", id="obs_fold"),
        pytest.param(b"HTTP/1.1 200 OK\r\na : b\r\n\r\n", "space_before_colon", id="space_before_colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nabc\r\n\r\n", "no_colon", id="no_colon"),
        pytest.param(answer(b"a", b"200 OK", b"content-length: 2"), "two_lengths", id="two_lengths"),
        pytest.param(answer(b"a", b"200 OK", b"content-length: 1"), "two_lengths", id="the_same_length_twice"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 1, 1\r\n\r\na", "length", id="list_of_lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\na", "length", id="signed_length"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: " + b"1" * 19 + b"\r\n\r\na", "length", id="19_digits"),
        pytest.param(
            answer(b"", b"200 OK", b"transfer-encoding: chunked"), "coding_and_length", id="length_and_coding"
        ),
        pytest.param(_CHUNKED.replace(b"chunked", b"gzip, chunked"), "coding", id="gzip"),
        pytest.param(_CHUNKED[:-2] + b"transfer-encoding: chunked\r\n\r\n", "two_codings", id="chunked_twice"),
        pytest.param(_CHUNKED.replace(b"1.1", b"1.0"), "coding_in_1_0", id="chunked_in_1.0"),
        pytest.param(_CHUNKED + b"x\r\n", "chunk_size", id="chunk_size"),
        pytest.param(_CHUNKED + b"3 \r\nabc\r\n", "chunk_size", id="space_after_size"),
        pytest.param(_CHUNKED + b"3\nabc\r\n", "chunk_size", id="bare_lf_after_size"),
        pytest.param(_CHUNKED + b"f" * 16 + b"\r\n", "chunk_size", id="size_beyond_63_bits"),
        pytest.param(_CHUNKED + b"3\r\nabcd\r\n", "chunk_end", id="longer_chunk"),
        pytest.param(_CHUNKED + b"0\r\na b: c\r\n\r\n", "field_name", id="trailer"),
        pytest.param(_CHUNKED + b"0\r\na: " + b"b" * 9_000, "trailer", id="long_trailer"),
        pytest.param(_of_size(_MOST_HEAD + 1), "head_too_large", id="head_of_64_kb_and_a_byte"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 1_048_576, "head_too_large", id="1_mb_head"),
        pytest.param(_with_fields(_MOST_FIELDS + 1), "too_many_fields", id="101_fields"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", "unasked_upgrade", id="101"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 11 + answer(), "too_many_interim", id="11_interim"),
    ],
)
async def test_an_invalid_response_fails_with_the_rule_that_it_breaks(response: bytes, rule: str) -> None:
    """PX5: it is not passed on, and the connection ends."""
    async with scripted_upstream(once(response)) as upstream, pool_to(upstream.url) as pool:
        outcome = await exchange(pool)
        assert isinstance(outcome.failure, BadResponse)
        assert (outcome.failure.rule, pool.size) == (rule, 0)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize(
    ("part", "before_first_byte"),
    [
        pytest.param(b"", True, id="nothing"),
        pytest.param(b"HTTP/1.1 20", False, id="half_a_line"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-le", False, id="half_a_head"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", False, id="interim_only"),
        pytest.param(answer(b"abc")[:-1], False, id="less_than_its_length"),
        pytest.param(_CHUNKED + b"3\r\nabc\r\n", False, id="no_last_chunk"),
        pytest.param(_CHUNKED + b"3\r\nabc\r\n0\r\n", False, id="no_end_of_trailer"),
    ],
)
async def test_a_cut_response_never_looks_complete(part: bytes, *, before_first_byte: bool, reset: bool) -> None:
    """PX9, PX10: and the failure says whether anything of a response had come."""
    async with scripted_upstream(once(part, reset=reset)) as upstream, pool_to(upstream.url) as pool:
        outcome = await exchange(pool)
        assert isinstance(outcome.failure, ConnectionLost)
        assert outcome.failure.before_first_byte is before_first_byte
        assert not outcome.failure.stale


async def test_a_reset_ends_a_body_without_length_as_cut() -> None:
    """PX9: only FIN is an end."""
    script = once(b"HTTP/1.1 200 OK\r\n\r\nabc", reset=True)
    async with scripted_upstream(script) as upstream, pool_to(upstream.url) as pool:
        outcome = await exchange(pool)
        assert (outcome.body, type(outcome.failure)) == (b"abc", ConnectionLost)


async def test_what_comes_while_a_connection_is_idle_ends_it() -> None:
    """PX9: a second answer is never given to the next request."""

    async def script(side: UpstreamSide) -> None:
        await side.request()
        side.send(answer(b"first"))
        await asyncio.sleep(0.02)
        side.send(answer(b"poison"))
        await side.read()

    async with scripted_upstream(script) as upstream, pool_to(upstream.url) as pool:
        assert (await exchange(pool)).reusable
        await upstream.connections[0].closed.wait()
        assert (pool.idle, pool.size) == (0, 0)
        assert (await exchange(pool)).body == b"first"
        assert len(upstream.connections) == 2


async def test_an_idle_connection_that_the_upstream_closes_leaves_the_pool() -> None:
    """PX10: at once, so that hardly a request meets a closed one."""
    async with scripted_upstream(once(answer())) as upstream, pool_to(upstream.url) as pool:
        await exchange(pool)
        await upstream.connections[0].closed.wait()
        await until(lambda: not pool.size)
        assert pool.take() is None


async def test_a_reused_connection_that_ends_before_an_answer_is_stale() -> None:
    """PX10: an idempotent request can be sent again."""

    async def script(side: UpstreamSide) -> None:
        await side.request()
        side.send(answer())
        await side.request()

    async with scripted_upstream(script) as upstream, pool_to(upstream.url) as pool:
        await exchange(pool)
        failure = (await exchange(pool)).failure
        assert isinstance(failure, ConnectionLost)
        assert (failure.before_first_byte, failure.stale, failure.unsent) == (True, True, False)


async def test_a_request_on_a_connection_that_has_ended_is_unsent() -> None:
    """PX10: every request can be sent again."""
    async with scripted_upstream(once(answer())) as upstream, pool_to(upstream.url) as pool:
        await exchange(pool)
        connection = pool.take()
        assert connection is not None
        await until(lambda: connection.closed)
        with pytest.raises(ConnectionLost) as raised:
            connection.send(GET, method="GET")
        assert raised.value.unsent


def test_tiny_chunks_are_bounded_in_a_time() -> None:
    """LD1, PX11: a stream of them can go on for ever, and one read of them holds the event loop for 40 ms at most."""
    now = 0.0
    body, chunk, most = ChunkedResponse(lambda: now), b"1\r\na\r\n", 49_152 // 5
    for _ in range(5):
        assert body.feed(chunk * most) == (b"a" * most, b"")
        now += 1
    body.feed(chunk * most)
    now += 0.00001
    with pytest.raises(BadResponse, match="chunk_framing"):
        body.feed(chunk)
    large = ChunkedResponse(lambda: now)
    assert len(large.feed((b"50\r\n" + b"a" * 80 + b"\r\n") * 10_000)[0]) == 800_000


async def test_equal_heads_share_their_fields() -> None:
    """What the forwarder derives from them can be kept."""
    async with scripted_upstream(always(answer(b"a"))) as upstream, pool_to(upstream.url) as pool:
        assert (await exchange(pool)).fields is (await exchange(pool)).fields


async def test_an_upgrade_gives_the_connection_away() -> None:
    """PX12: with the bytes that followed the head, and no longer counted by the pool."""
    response = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\nhello"
    received = asyncio.Event()

    class Receiver(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            assert data == b"more"
            received.set()

    async def script(side: UpstreamSide) -> None:
        await side.request()
        side.send(response)
        assert await side.read() == b"ready"
        side.send(b"more")
        await side.read()

    async with scripted_upstream(script) as upstream, pool_to(upstream.url) as pool:
        connection = await begin(pool, upgrade=True)
        assert (await connection.head()).status == 101
        transport, rest = connection.detach()
        assert (rest, pool.size) == (b"hello", 0)
        transport.set_protocol(Receiver())
        transport.resume_reading()
        transport.write(b"ready")
        await asyncio.wait_for(received.wait(), 5)
        transport.abort()


async def test_an_interim_response_does_not_extend_the_deadline() -> None:
    """PX8: nor does a byte at a time."""

    async def script(side: UpstreamSide) -> None:
        await side.request()
        await side.send_slowly(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9 + answer(), 5, 0.03)

    async with scripted_upstream(script) as upstream, pool_to(upstream.url, first_byte=0.2) as pool:
        failure = (await exchange(pool)).failure
        assert isinstance(failure, ResponseTimedOut)
        assert failure.phase == "first_byte"
