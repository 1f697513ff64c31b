"""Bodies are streamed both ways with bounded memory, and each phase has a deadline."""

import asyncio
import ssl
from pathlib import Path

import pytest

from gateway.proxy.client.errors import ConnectionLost, ResponseTimedOut
from gateway.proxy.client.incoming import MOST_BUFFERED
from gateway.proxy.client.outgoing import BodyLengthWrong
from tenants.routes.schemas import TlsSpec
from tests.fixtures.pools import begin, exchange, pool_to, until
from tests.fixtures.upstreams import Authority, UpstreamSide, always, answer, scripted_upstream, server_context, silent

pytestmark = pytest.mark.anyio

CHUNKED = b"POST /x HTTP/1.1\r\nhost: upstream\r\ntransfer-encoding: chunked\r\n\r\n"
_PIECE = b"x" * 65_536
_PIECES = 512  # 32 MB
_MOST_READ = 262_144  # bytes that one read of the event loop can add
_MOST_WRITTEN = 131_072  # bytes that a transport holds before it pauses the writer, and one piece


_UNVERIFIED = TlsSpec(verify=False)


def _context(folder: Path) -> ssl.SSLContext:
    return server_context(Authority(folder).own())


def _declared(size: int) -> bytes:
    return b"POST /x HTTP/1.1\r\nhost: upstream\r\ncontent-length: %d\r\n\r\n" % size


@pytest.mark.parametrize("length", [None, 6], ids=["chunked", "declared"])
async def test_a_body_is_sent_in_parts(length: int | None) -> None:
    """PX11: with the framing that was told, and the connection can be used again."""
    async with scripted_upstream(always(answer(b"ok"))) as upstream, pool_to(upstream.url) as pool:
        head = CHUNKED if length is None else _declared(length)
        connection = await begin(pool, head, body=b"ab", more_body=True, length=length)
        assert await connection.write(b"cd")
        assert await connection.write(b"")
        assert await connection.write(b"ef")
        connection.end_body()
        assert (await connection.head()).body == b"ok"
        pool.release(connection)
        assert (upstream.requests[0].body, pool.idle) == (b"abcdef", 1)


@pytest.mark.parametrize("data", [b"abc", b"abcde"], ids=["shorter", "longer"])
async def test_a_body_of_another_length_is_not_completed(data: bytes) -> None:
    """PX5: the upstream would read the next request from another place."""
    async with scripted_upstream(always(answer())) as upstream, pool_to(upstream.url) as pool:
        connection = await begin(pool, _declared(4), more_body=True, length=4)
        with pytest.raises(BodyLengthWrong):  # noqa: PT012 - either of them
            await connection.write(data)
            connection.end_body()
        pool.release(connection)
        assert pool.size == 0


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
async def test_a_large_request_waits_for_its_upstream(tmp_path: Path, *, tls: bool) -> None:
    """PX11: the transport holds a bounded number of bytes, whatever the size of the body."""
    taken = asyncio.Event()

    async def script(side: UpstreamSide) -> None:
        await side.head()
        await taken.wait()
        while len(side.received) < _PIECES * len(_PIECE):
            await side.read()
        side.send(answer(b"ok"))
        await side.read()

    context = _context(tmp_path) if tls else None
    async with scripted_upstream(script, context=context) as upstream, pool_to(upstream.url, tls=_UNVERIFIED) as pool:
        size = _PIECES * len(_PIECE)
        connection = await begin(pool, _declared(size), more_body=True, length=size)
        asyncio.get_running_loop().call_later(0.1, taken.set)
        most = waited = 0
        for _ in range(_PIECES):
            writing = asyncio.ensure_future(connection.write(_PIECE))
            await asyncio.sleep(0)
            most = max(most, connection._transport.get_write_buffer_size())
            waited += not writing.done()
            await writing
        connection.end_body()
        assert (await connection.head()).body == b"ok"
        assert (most <= _MOST_WRITTEN, waited > 0) == (True, True)


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
async def test_a_large_response_waits_for_its_reader(tmp_path: Path, *, tls: bool) -> None:
    """PX11: a bounded number of bytes is held, and the upstream has to wait."""
    sent = 0

    async def script(side: UpstreamSide) -> None:
        nonlocal sent
        await side.request()
        side.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (_PIECES * len(_PIECE)))
        for _ in range(_PIECES):
            side.send(_PIECE)
            await side.drain()
            sent += len(_PIECE)

    context = _context(tmp_path) if tls else None
    async with (
        scripted_upstream(script, context=context) as upstream,
        pool_to(upstream.url, idle=0.3, tls=_UNVERIFIED) as pool,
    ):
        connection = await begin(pool)
        received = len((await connection.head()).body)
        await until(lambda: connection._incoming.paused)
        await asyncio.sleep(0.5)  # the idle deadline does not count while nothing reads
        assert sent < _PIECES * len(_PIECE)
        while data := await connection.read():
            received += len(data)
            assert len(data) <= MOST_BUFFERED + _MOST_READ
        assert (received, connection.complete) == (_PIECES * len(_PIECE), True)


@pytest.mark.parametrize("closes", [True, False], ids=["closes", "keeps"])
async def test_an_early_error_ends_the_request(*, closes: bool) -> None:
    """PX10: the answer is delivered although the upstream takes no more, and the connection is not used again."""

    async def script(side: UpstreamSide) -> None:
        await side.head()
        side.send(answer(b"too large", b"413 Content Too Large"))
        if not closes:
            await silent(side)

    async with scripted_upstream(script) as upstream, pool_to(upstream.url) as pool:
        size = _PIECES * len(_PIECE)
        connection = await begin(pool, _declared(size), more_body=True, length=size)
        written = 0
        while await connection.write(_PIECE):
            written += 1
        head = await connection.head()
        assert (head.status, head.body, written < _PIECES) == (413, b"too large", True)
        assert not await connection.write(_PIECE)
        connection.end_body()
        pool.release(connection)
        assert pool.size == 0


async def test_an_early_error_wakes_a_writer_that_waits() -> None:
    """PX10: an upstream that answers and stops reading does not hold the request until a deadline."""
    blocked = asyncio.Event()

    async def script(side: UpstreamSide) -> None:
        await side.head()
        await blocked.wait()
        side.send(answer(b"no", b"401 Unauthorized"))
        await asyncio.sleep(5)

    async with scripted_upstream(script) as upstream, pool_to(upstream.url) as pool:
        connection = await begin(pool, CHUNKED, more_body=True)
        asyncio.get_running_loop().call_later(0.1, blocked.set)
        async with asyncio.timeout(2):
            while await connection.write(_PIECE):
                pass
        assert (await connection.head()).status == 401
        pool.release(connection)


async def test_a_writer_that_never_waits_notices_the_end_of_the_connection() -> None:
    """PX9: small parts never fill a buffer."""

    async def script(side: UpstreamSide) -> None:
        await side.head()
        side.reset()

    async with scripted_upstream(script) as upstream, pool_to(upstream.url) as pool:
        connection = await begin(pool, CHUNKED, more_body=True)
        with pytest.raises(ConnectionLost):  # noqa: PT012 - one of the writes
            while await connection.write(b"x"):
                pass
        pool.release(connection)
        assert pool.size == 0


async def test_a_good_answer_may_depend_on_the_rest_of_the_body() -> None:
    """PX11: a service that pipes the request into its response is not stopped by its own head."""

    async def script(side: UpstreamSide) -> None:
        await side.head()
        side.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (_PIECES * len(_PIECE)))
        while data := await side.read():
            side.send(data)
            await side.drain()

    async with scripted_upstream(script) as upstream, pool_to(upstream.url) as pool:
        size = _PIECES * len(_PIECE)
        connection = await begin(pool, _declared(size), more_body=True, length=size)

        async def pump() -> None:
            for _ in range(_PIECES):
                assert await connection.write(_PIECE)
            connection.end_body()

        pumping = asyncio.create_task(pump())
        received = len((await connection.head()).body)
        while data := await connection.read():
            received += len(data)
        await pumping
        pool.release(connection)
        assert (received, pool.idle) == (size, 1)


async def test_an_answer_that_is_complete_early_ends_the_connection() -> None:
    """PX5: the rest of the body would be the beginning of the next request."""
    async with scripted_upstream(_answers_the_head) as upstream, pool_to(upstream.url) as pool:
        connection = await begin(pool, CHUNKED, body=b"a", more_body=True)
        assert (await connection.head()).complete
        assert not await connection.write(b"b")
        pool.release(connection)
        assert pool.size == 0


async def _answers_the_head(side: UpstreamSide) -> None:
    await side.head()
    side.send(answer(b"done"))
    await silent(side)


async def test_an_upstream_that_says_nothing_times_out() -> None:
    """PX8: counted from the end of the request, and not from before."""
    async with scripted_upstream(silent) as upstream, pool_to(upstream.url, first_byte=0.2) as pool:
        connection = await begin(pool, CHUNKED, more_body=True)
        await asyncio.sleep(0.3)  # the client takes its time
        assert await connection.write(b"a")
        connection.end_body()
        begun = asyncio.get_running_loop().time()
        with pytest.raises(ResponseTimedOut, match="first_byte"):
            await connection.head()
        assert 0.2 <= asyncio.get_running_loop().time() - begun < 2
        assert pool.size == 0


async def test_a_route_can_have_its_own_deadline_of_the_first_byte() -> None:
    """PX8: such as a long poll; the upstream's holds again for the next request."""

    async def script(side: UpstreamSide) -> None:
        await side.request()
        await asyncio.sleep(0.3)
        side.send(answer())
        await silent(side)

    async with scripted_upstream(script) as upstream, pool_to(upstream.url, first_byte=0.1) as pool:
        assert (await exchange(pool, first_byte=5.0)).status == 200
        assert isinstance((await exchange(pool)).failure, ResponseTimedOut)


async def test_an_upstream_that_stops_taking_the_request_times_out() -> None:
    """PX8: a body that the kernel does not take counts as well, if the request is complete."""

    async def script(side: UpstreamSide) -> None:
        await side.head()
        await asyncio.sleep(5)

    async with scripted_upstream(script) as upstream, pool_to(upstream.url, send=0.1) as pool:
        connection = await begin(pool, CHUNKED, more_body=True)
        with pytest.raises(ResponseTimedOut, match="send"):  # noqa: PT012 - one of the writes
            while await connection.write(_PIECE):
                pass
        outcome = await exchange(pool, _declared(_PIECES * len(_PIECE)), body=_PIECE * _PIECES)
        assert isinstance(outcome.failure, ResponseTimedOut)
        assert outcome.failure.phase == "send"


async def test_a_slow_upstream_that_takes_a_little_does_not_time_out() -> None:
    """PX8: the deadline is between two moments at which bytes are taken, not for all of them."""

    async def script(side: UpstreamSide) -> None:
        await side.head()
        size = 0
        while size < _PIECES * len(_PIECE):
            data = await side.read(262_144)
            size += len(data)
            if size < 8_388_608:
                await asyncio.sleep(0.02)
        side.send(answer())

    async with scripted_upstream(script) as upstream, pool_to(upstream.url, send=0.5) as pool:
        outcome = await exchange(pool, _declared(_PIECES * len(_PIECE)), body=_PIECE * _PIECES)
        assert (outcome.failure, outcome.status) == (None, 200)


async def test_a_body_that_stops_times_out() -> None:
    """PX8, PX9: between two reads; a byte at a time goes on for longer than the deadline."""

    async def script(side: UpstreamSide) -> None:
        await side.request()
        await side.send_slowly(answer(b"x" * 20)[:-1], 3, 0.02)
        await asyncio.sleep(5)

    async with scripted_upstream(script) as upstream, pool_to(upstream.url, idle=0.3) as pool:
        outcome = await exchange(pool)
        assert isinstance(outcome.failure, ResponseTimedOut)
        assert (outcome.failure.phase, outcome.body) == ("idle", b"x" * 19)


@pytest.mark.parametrize("phase", ["head", "read", "write"])
async def test_a_cancelled_exchange_ends_its_connection(phase: str) -> None:
    """PX9: the upstream sees it at once."""
    ended = asyncio.Event()

    async def script(side: UpstreamSide) -> None:
        try:
            await side.head()
            if phase == "read":
                side.send(answer(b"abc")[:-1])
            if phase != "write":
                await silent(side)
            else:
                await asyncio.sleep(0.3)
                await silent(side)
        finally:
            ended.set()

    async def work() -> None:
        connection = await begin(pool, CHUNKED, more_body=True)
        while phase == "write":
            await connection.write(_PIECE)
        await connection.head()
        while True:
            await connection.read()

    async with scripted_upstream(script) as upstream, pool_to(upstream.url) as pool:
        task = asyncio.create_task(work())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pool.size == 0
        await asyncio.wait_for(ended.wait(), 2)


async def test_an_abort_fails_the_exchange() -> None:
    """PX9: such as when the client has left."""
    async with scripted_upstream(silent) as upstream, pool_to(upstream.url) as pool:
        connection = await begin(pool)
        asyncio.get_running_loop().call_later(0.02, connection.abort)
        with pytest.raises(ConnectionLost):
            await connection.head()
        pool.release(connection)
        assert pool.size == 0
