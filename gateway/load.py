"""A closed loop of HTTP/1.1 requests that costs less than the server it measures: some 20 µs a request.

Each connection sends a prepared request, waits for the whole answer, notes the time, and sends the next one. What httpx
takes for one would measure httpx.
"""

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from urllib.parse import urlsplit

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_CLOSE = b"\r\nconnection: close"
_STATUS = slice(9, 12)
_CONNECT_WITHIN = 5.0  # seconds


class LoadFailed(Exception):
    """The server could not be reached, or an answer broke off."""


@dataclass(slots=True)
class Result:
    """What one run saw."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)  # seconds, from the first byte sent to the last received

    @property
    def count(self) -> int:
        """Answers."""
        return len(self.latencies)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.count / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Latency in milliseconds that ``share`` (0 to 1) of the answers did not exceed; 0 without any."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0


def request_bytes(url: str, headers: dict[str, str], method: str = "GET", body: bytes = b"") -> bytes:
    """One HTTP/1.1 request, ready to be sent again and again."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", *(f"{k}: {v}" for k, v in headers.items())]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + _HEAD_END + body


async def run_load(url: str, requests: Sequence[bytes], *, connections: int, seconds: float) -> Result:
    """Send the requests in turn over that many keep-alive connections. Raises LoadFailed.

    Answers must carry Content-Length; a server that closes a connection after an answer is connected to anew.
    """
    load = _Load(url, cycle(requests))
    try:
        async with asyncio.timeout(_CONNECT_WITHIN):
            await asyncio.gather(*(load.connect() for _ in range(connections)))
        await load.last(seconds)
    except (OSError, TimeoutError) as error:
        raise LoadFailed(f"{load.host} port {load.port} cannot be reached: {error!r}") from error
    finally:
        load.close()
    return load.result


class _Load:
    """The connections of one run."""

    def __init__(self, url: str, requests: Iterator[bytes]) -> None:
        parts = urlsplit(url)
        self.secure = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.secure else 80)
        self.result = Result()
        self.running = False
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._open: set[_Connection] = set()
        self._reconnects: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        context = ssl.create_default_context() if self.secure else None
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: _Connection(self), self.host, self.port, ssl=context)
        self._open.add(connection)
        if self.running:
            connection.send()

    async def last(self, seconds: float) -> None:
        """Run for so long."""
        began, self.running = time.perf_counter(), True
        for connection in self._open:
            connection.send()
        await asyncio.wait([self.failure], timeout=seconds)
        self.running = False
        self.result.seconds = time.perf_counter() - began
        if self.failure.done():
            self.failure.result()

    def next(self) -> bytes:
        return next(self._requests)

    def close(self) -> None:
        for task in self._reconnects:
            task.cancel()
        for connection in self._open:
            connection.close()

    def lost(self, connection: "_Connection", *, between: bool) -> None:
        """A connection has ended: between two answers that is the server's right, within one it is a failure."""
        self._open.discard(connection)
        if not self.running:
            return
        if not between:
            self.fail(LoadFailed("the server closed a connection in the middle of an answer"))
            return
        task = asyncio.get_running_loop().create_task(self.connect())
        self._reconnects.add(task)
        task.add_done_callback(self._reconnected)

    def fail(self, error: Exception) -> None:
        if not self.failure.done():
            self.failure.set_exception(error)

    def _reconnected(self, task: "asyncio.Task[None]") -> None:
        self._reconnects.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error if isinstance(error, OSError) else LoadFailed(str(error)))


class _Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._received = b""
        self._sent_at = 0.0
        self._waiting = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's transport can write

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it ended does not matter
        self._load.lost(self, between=not self._waiting)

    def send(self) -> None:
        """The next request."""
        if self._transport is not None:
            self._waiting, self._sent_at = True, time.perf_counter()
            self._transport.write(self._load.next())

    def close(self) -> None:
        """End it, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        end = received.find(_HEAD_END)
        if end < 0 or len(received) < end + len(_HEAD_END) + _length(received[:end]):
            self._received = received
            return
        self._received, self._waiting = b"", False
        self._note(received[:end])

    def _note(self, head: bytes) -> None:
        if not self._load.running:
            return
        self._load.result.latencies.append(time.perf_counter() - self._sent_at)
        self._load.result.statuses[int(head[_STATUS])] += 1
        if _CLOSE not in head.lower():
            self.send()


def _length(head: bytes) -> int:
    """Content-Length; 0 where there is none, as for 204 and 304."""
    at = head.find(_LENGTH)
    if at < 0:
        head = head.lower()
        at = head.find(_LENGTH)
    return int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
