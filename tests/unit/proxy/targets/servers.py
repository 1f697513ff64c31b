"""Upstream servers on real sockets, and a client that sends requests through an upstream as the forwarder does."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from gateway.proxy.client.errors import ConnectFailed, ConnectionLost, ConnectTimedOut, ResponseTimedOut, UpstreamFailed
from gateway.proxy.targets.outcomes import Outcome, of_status
from gateway.proxy.targets.target import Attempt, Target
from gateway.proxy.targets.upstream import Upstream
from gateway.proxy.targets.upstreams import Upstreams
from tenants.routes.schemas import UpstreamSpec

_LOOPBACK = "127.0.0.1"
Behaviour = Callable[["Server", asyncio.StreamWriter], Awaitable[None]]


async def answer(server: "Server", writer: asyncio.StreamWriter) -> None:
    """A small response."""
    if server.delay:
        await asyncio.sleep(server.delay)
    if writer.transport.is_closing():
        raise ConnectionResetError
    writer.write(b"HTTP/1.1 %d Status\r\ncontent-length: 2\r\n\r\nok" % server.status)


async def say_nothing(_: "Server", writer: asyncio.StreamWriter) -> None:
    """Until the client leaves."""
    await writer.wait_closed()


async def drip(_: "Server", writer: asyncio.StreamWriter) -> None:
    """A response at one byte a second."""
    for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok":
        writer.write(bytes((byte,)))
        await asyncio.sleep(1)


class Server:
    """Answers each request of its connections; can stop and start again on the same port."""

    def __init__(self) -> None:
        self.behaviour: Behaviour = answer
        self.status = 200
        self.delay = 0.0
        self.requests = 0
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://{_LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Listen, on the port of before."""
        self._server = await asyncio.start_server(self._serve, _LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        """As the end of a process does: connections are reset, and later ones refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                await self.behaviour(self, writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


@asynccontextmanager
async def servers(count: int) -> AsyncIterator[Sequence[Server]]:
    """So many that listen."""
    started = [Server() for _ in range(count)]
    for each in started:
        await each.start()
    try:
        yield started
    finally:
        for each in started:
            await each.kill()


def unused_url() -> str:
    """Where connections are refused."""
    with socket.socket() as listener:
        listener.bind((_LOOPBACK, 0))
        return f"http://{_LOOPBACK}:{listener.getsockname()[1]}"


def spec_of(urls: Iterable[str], **fields: Any) -> UpstreamSpec:
    """The upstream "echo"."""
    return UpstreamSpec.model_validate({"name": "echo", "targets": [{"url": url} for url in urls], **fields})


@asynccontextmanager
async def running(*specs: UpstreamSpec, grace: float = 60) -> AsyncIterator[Upstreams]:
    """These upstreams, in force."""
    upstreams = Upstreams(grace=grace)
    upstreams.apply(specs)
    await upstreams.start()
    try:
        yield upstreams
    finally:
        await upstreams.close()


async def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for it, and fail when it takes too long."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


async def request(upstream: Upstream) -> int:
    """The status of the answer to an idempotent request, with one retry beside that of a stale connection.

    Raises UpstreamFailed and NoTarget.
    """
    meter = upstream.meter("route")
    tried: tuple[Target, ...] = ()
    left = 1
    while True:
        target = upstream.pick("acme", tried)
        try:
            return await _attempt(target, target.began(meter), fresh=bool(tried))
        except UpstreamFailed as error:
            is_first_stale = isinstance(error, ConnectionLost) and error.stale and not tried
            if not (is_first_stale or left) or not upstream.budget.allows_retry():
                raise
            left -= not is_first_stale
            tried = (*tried, target)


async def _attempt(target: Target, attempt: Attempt, *, fresh: bool) -> int:
    began, outcome = time.perf_counter(), Outcome.ABANDONED
    connection = None if fresh else target.pool.take()
    try:
        if connection is None:
            connection = await target.pool.connect()
        connection.send(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n", method="GET")
        head = await connection.head()
        while not head.complete and await connection.read():
            pass
        outcome = of_status(head.status)
    except UpstreamFailed as error:
        outcome = _outcome(error)
        raise
    finally:
        if connection is not None:
            target.pool.release(connection)
        attempt.ended(outcome, time.perf_counter() - began)
    return head.status


def _outcome(error: UpstreamFailed) -> Outcome:
    if isinstance(error, ConnectFailed | ConnectTimedOut):
        return Outcome.NO_CONNECTION
    if isinstance(error, ConnectionLost):
        return Outcome.STALE if error.stale or error.unsent else Outcome.CUT
    return Outcome.TIMEOUT if isinstance(error, ResponseTimedOut) else Outcome.BUSY
