"""The load generator: what it sends and counts, and that it measures a slow server correctly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle, islice

import pytest

from gateway.development.load import LoadFailed, head_of, request_bytes, run_load, run_paced

pytestmark = pytest.mark.anyio

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
_LAST = b"HTTP/1.1 404 Not Found\r\nConnection: Close\r\ncontent-length: 0\r\n\r\n"
_REQUEST = request_bytes("http://127.0.0.1/", {"X-Test": "1"})


class Server:
    """Responds to every request with the next of ``answers``, once ``open`` is set."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = cycle(answers)
        self.open = asyncio.Event()
        self.open.set()
        self.requests: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                await self.open.wait()
                answer = next(self.answers)
                for piece in (answer[:20], answer[20:]):  # in two parts, as a network may deliver it
                    writer.write(piece)
                    await asyncio.sleep(0)
                if answer is not _OK:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):  # closed or, with a response unread, reset
            return
        finally:
            writer.close()


@asynccontextmanager
async def _listening(server: Server) -> AsyncIterator[str]:
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


def test_a_response_is_complete_with_its_body() -> None:
    assert [bool(head_of(_OK[:length])) for length in (10, len(_OK) - 1, len(_OK))] == [False, False, True]
    assert head_of(b"HTTP/1.1 204 No Content\r\n\r\n")


async def test_each_of_a_finite_number_of_requests_is_sent_once() -> None:
    server = Server(_OK)
    async with _listening(server) as url:
        result = await run_load(url, islice(cycle([_REQUEST]), 50), connections=4, seconds=30)
    assert (result.statuses, result.count, len(server.requests)) == ({200: 50}, 50, 50)
    assert result.seconds < 30
    assert 0 < result.percentile(0.5) <= result.percentile(0.99) <= result.percentile(1.0)


async def test_a_connection_closed_after_a_response_is_opened_again() -> None:
    server = Server(_OK, _LAST)
    async with _listening(server) as url:
        result = await run_load(url, cycle([_REQUEST]), connections=2, seconds=0.3)
    assert result.statuses[200] > 2
    assert result.statuses[404] > 2
    assert server.connections > 2


async def test_an_incomplete_response_is_a_failure() -> None:
    async with _listening(Server(_LAST[:-2])) as url:
        with pytest.raises(LoadFailed):
            await asyncio.wait_for(run_load(url, cycle([_REQUEST]), connections=1, seconds=30), 10)


async def test_latency_counts_from_the_time_when_a_request_was_due() -> None:
    """All requests during a pause of the server show it, not only one on each connection."""
    server = Server(_OK)
    server.open.clear()
    async with _listening(server) as url:
        load = asyncio.create_task(run_paced([url], cycle([_REQUEST]), rate=500, connections=2, seconds=0.5))
        await asyncio.sleep(0.4)
        assert len(server.requests) == 2
        server.open.set()
        result = await load
    assert result.unanswered == 0
    assert 150 < result.count < 350
    assert sum(latency > 0.1 for latency in result.latencies) > 50


async def test_requests_without_a_response_are_counted() -> None:
    server = Server(_OK)
    server.open.clear()
    async with _listening(server) as url:
        result = await run_paced([url], cycle([_REQUEST]), rate=100, connections=2, seconds=0.3, drain_seconds=0.1)
        assert result.count == 0
        assert result.unanswered > 2
        server.open.set()
