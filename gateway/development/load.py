"""A load generator for HTTP/1.1: as fast as the server responds, or at a given rate.

Each connection sends a prepared request, waits for the complete response and records the time. A request takes some
15 µs on uvloop, most of it in the kernel; a general client such as httpx would take longer than the server.
"""

import asyncio
import random
import ssl
import time
from abc import ABC, abstractmethod
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_CLOSE = b"\r\nconnection: close"
_STATUS = slice(9, 12)
_CONNECT_WITHIN = 5.0  # seconds
_TICK = 0.001  # seconds, the resolution of an event loop's clock: requests due within it are sent together
_LATENCY = "d"  # of an array: eight bytes a response


class LoadFailed(Exception):
    """The server could not be reached, or closed a connection within a response."""


@dataclass(slots=True)
class Result:
    """The result of one run."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: "array[float]" = field(default_factory=lambda: array(_LATENCY))  # seconds, until the last byte
    unanswered: int = 0  # requests of ``run_paced`` that were due, and had no response at the end

    @property
    def count(self) -> int:
        """The number of responses."""
        return len(self.latencies)

    @property
    def rate(self) -> float:
        """Responses a second."""
        return self.count / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """The latency in milliseconds that ``share`` (0 to 1) of the responses did not exceed; 0 without any."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0


def request_bytes(url: str, headers: dict[str, str], method: str = "GET", body: bytes = b"") -> bytes:
    """One HTTP/1.1 request as bytes, which can be sent repeatedly."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", *(f"{k}: {v}" for k, v in headers.items())]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + _HEAD_END + body


def head_of(received: bytes) -> bytes:
    """The head of a complete response, in lower case; empty while the response is incomplete.

    Without Content-Length there is no body, as with 204 and 304.
    """
    end = received.find(_HEAD_END)
    if end < 0:
        return b""
    head = received[:end].lower()
    at = head.find(_LENGTH)
    length = int(head[at + len(_LENGTH) :].partition(b"\r\n")[0]) if at >= 0 else 0
    return head if len(received) >= end + len(_HEAD_END) + length else b""


def status_of(head: bytes) -> int:
    """The status in a head."""
    return int(head[_STATUS])


async def run_load(url: str, requests: Iterable[bytes], *, connections: int, seconds: float) -> Result:
    """A closed loop: each of the keep-alive connections sends the next request when the last one is answered.

    Ends after that time, or with the last request. Responses need a Content-Length. A connection that the server
    closes after a response is opened again. Raises LoadFailed.
    """
    return await _ClosedLoop([url], requests).run(connections, seconds)


async def run_paced(
    urls: Sequence[str],
    requests: Iterable[bytes],
    *,
    rate: float,
    connections: int,
    seconds: float,
    drain_seconds: float = 5.0,
) -> Result:
    """An open loop: ``rate`` requests a second at random times (Poisson), whether or not the responses keep up.

    A closed loop waits for the slow server that it should measure. Here each request is due at a given time, and its
    latency counts from that time when all connections were busy. ``connections`` is the number to each of ``urls``;
    ``drain_seconds`` is the time for responses after the last request was due. Raises LoadFailed.
    """
    return await _OpenLoop(urls, requests, rate, drain_seconds).run(connections, seconds)


class _Load(ABC):
    """The connections of one run."""

    def __init__(self, urls: Sequence[str], requests: Iterable[bytes]) -> None:
        self.result = Result()
        self.requests = iter(requests)
        self.running = False
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._urls = [urlsplit(url) for url in urls]
        self._open: set[_Connection] = set()
        self._reconnects: set[asyncio.Task[None]] = set()

    async def run(self, connections: int, seconds: float) -> Result:
        """See ``run_load``."""
        try:
            async with asyncio.timeout(_CONNECT_WITHIN):
                await asyncio.gather(
                    *(self._connect(address) for address in self._addresses() for _ in range(connections))
                )
            await self._run_for(seconds)
        except (OSError, TimeoutError) as error:
            where = ", ".join(url.netloc for url in self._urls)
            raise LoadFailed(f"{where} cannot be reached: {error!r}") from error
        finally:
            for task in self._reconnects:
                task.cancel()
            for connection in self._open:
                connection.close()
        return self.result

    @abstractmethod
    def idle(self, connection: "_Connection") -> None:
        """Send the next request on this connection, or leave it idle."""

    @abstractmethod
    async def drive(self, seconds: float) -> None:
        """Send the requests, until that time is over or ``over`` is done."""

    def waiting(self) -> int:
        """The number of requests without a response."""
        return sum(each.waiting for each in self._open)

    def end_when_answered(self) -> None:
        """No more requests follow: end the run with the last response."""
        if not self.over.done() and not self.waiting():
            self.over.set_result(None)

    def answered(self, connection: "_Connection", head: bytes, since: float) -> None:
        """Record a complete response."""
        result = self.result
        result.latencies.append(time.perf_counter() - since)
        result.statuses[status_of(head)] += 1
        if _CLOSE not in head:
            self.idle(connection)

    def lost(self, connection: "_Connection", *, waiting: bool) -> None:
        """Handle a closed connection: open it again between two responses, fail within one."""
        self._open.discard(connection)
        if not self.running:
            return
        if waiting:
            where = f"{connection.address.host}:{connection.address.port}"
            self._fail(LoadFailed(f"{where} closed a connection before it had answered a request"))
            return
        task = asyncio.get_running_loop().create_task(self._connect(connection.address))
        self._reconnects.add(task)
        task.add_done_callback(self._reconnected)

    def _addresses(self) -> "list[_Address]":
        return [
            _Address(url.hostname or "", url.port or (443 if url.scheme == "https" else 80), url.scheme == "https")
            for url in self._urls
        ]

    async def _connect(self, address: "_Address") -> None:
        context = ssl.create_default_context() if address.secure else None
        loop = asyncio.get_running_loop()
        made = loop.create_connection(lambda: _Connection(self, address), address.host, address.port, ssl=context)
        connection = (await made)[1]
        self._open.add(connection)
        if self.running:
            self.idle(connection)

    async def _run_for(self, seconds: float) -> None:
        began, self.running = time.perf_counter(), True
        for connection in tuple(self._open):
            self.idle(connection)
        await self.drive(seconds)
        self.running = False
        self.result.seconds = time.perf_counter() - began
        if self.over.done():
            self.over.result()

    def _fail(self, error: Exception) -> None:
        if not self.over.done():
            self.over.set_exception(error)

    def _reconnected(self, task: "asyncio.Task[None]") -> None:
        self._reconnects.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error if isinstance(error, OSError) else LoadFailed(str(error)))


class _ClosedLoop(_Load):
    """See ``run_load``."""

    async def drive(self, seconds: float) -> None:
        await asyncio.wait([self.over], timeout=seconds)

    def idle(self, connection: "_Connection") -> None:
        if not self.running:
            return
        request = next(self.requests, None)
        if request is not None:
            connection.send(request, time.perf_counter())
        else:
            self.end_when_answered()


class _OpenLoop(_Load):
    """See ``run_paced``. A request that is due while no connection is idle is sent by the next idle one."""

    def __init__(self, urls: Sequence[str], requests: Iterable[bytes], rate: float, drain_seconds: float) -> None:
        super().__init__(urls, requests)
        self._rate = rate
        self._drain_seconds = drain_seconds
        self._idle: deque[_Connection] = deque()
        self._overdue: deque[float] = deque()
        self._all_due = False

    async def drive(self, seconds: float) -> None:
        choice = random.Random(1)  # noqa: S311 - repeatable on purpose
        due = time.perf_counter()
        end = due + seconds
        while due < end and not self.over.done():
            await asyncio.sleep(max(_TICK, due - time.perf_counter()))
            while due <= time.perf_counter() and due < end:
                self._send_due(due)
                due += choice.expovariate(self._rate)
        self._all_due = True
        self.end_when_answered()
        await asyncio.wait([self.over], timeout=self._drain_seconds)
        self.result.unanswered = self.waiting()

    def idle(self, connection: "_Connection") -> None:
        if self._overdue:
            connection.send(next(self.requests), self._overdue.popleft())
            return
        self._idle.append(connection)
        if self._all_due:
            self.end_when_answered()

    def waiting(self) -> int:
        return len(self._overdue) + super().waiting()

    def lost(self, connection: "_Connection", *, waiting: bool) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
        super().lost(connection, waiting=waiting)

    def _send_due(self, due: float) -> None:
        if self._idle:
            self._idle.popleft().send(next(self.requests), time.perf_counter())
        else:
            self._overdue.append(due)


@dataclass(frozen=True, slots=True)
class _Address:
    """Where to connect."""

    host: str
    port: int
    secure: bool


class _Connection(asyncio.Protocol):
    """One connection: a request, its response, the next request."""

    __slots__ = ("_load", "_received", "_since", "_transport", "address", "waiting")

    def __init__(self, load: _Load, address: _Address) -> None:
        self.address = address
        self.waiting = False  # for a response
        self._load = load
        self._received = b""
        self._since = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the cause does not matter
        self._load.lost(self, waiting=self.waiting)

    def send(self, request: bytes, since: float) -> None:
        """Send the request. Its latency counts from ``since``."""
        if self._transport is not None:
            self.waiting, self._since = True, since
            self._transport.write(request)

    def close(self) -> None:
        """Close it, also within a response."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        head = head_of(received)
        if not head:
            self._received = received
            return
        self._received, self.waiting = b"", False
        if self._load.running:
            self._load.answered(self, head, self._since)
