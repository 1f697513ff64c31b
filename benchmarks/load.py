"""A closed-loop HTTP/1.1 load generator that costs less than the server it measures.

Plain sockets and epoll: each connection sends one prepared request, waits for the whole answer, notes the time and
sends again. Some 15 µs a request, so one core of it saturates one core of uvicorn.
"""

import select
import socket
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from urllib.parse import urlsplit

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_ONE_READ = 65_536  # bytes


@dataclass(slots=True)
class Result:
    """What one run of ``run_load`` saw."""

    seconds: float
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)  # seconds

    @property
    def rate(self) -> float:
        """Answers a second."""
        return sum(self.statuses.values()) / self.seconds

    def percentile(self, share: float) -> float:
        """Latency in milliseconds that ``share`` (0 to 1) of the answers did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000

    @property
    def mean(self) -> float:
        """Mean latency in milliseconds."""
        return statistics.fmean(self.latencies) * 1000


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    sent_at: float = 0.0
    received: bytearray = field(default_factory=bytearray)


def request_bytes(url: str, headers: dict[str, str], method: str = "GET", body: bytes = b"") -> bytes:
    """One HTTP/1.1 request, ready to be sent again and again."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", *(f"{k}: {v}" for k, v in headers.items())]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + _HEAD_END + body


def run_load(url: str, request: bytes | Sequence[bytes], *, connections: int, seconds: float) -> Result:
    """Send ``request`` over ``connections`` keep-alive connections for ``seconds``; raises OSError when one breaks.

    Several requests are sent in turn, whichever connection is next.
    """
    parts = urlsplit(url)
    address = (parts.hostname or "127.0.0.1", parts.port or 80)
    poll = select.epoll()
    open_now = {}
    for _ in range(connections):
        connection = _Connection(socket.create_connection(address, timeout=5))
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        open_now[connection.socket.fileno()] = connection
        poll.register(connection.socket.fileno(), select.EPOLLIN)
    try:
        return _drive(poll, open_now, cycle([request] if isinstance(request, bytes) else request), seconds)
    finally:
        for connection in open_now.values():
            connection.socket.close()
        poll.close()


def run_paced(url: str, requests: Sequence[bytes], *, every: float, seconds: float) -> Result:
    """Send the next of ``requests`` every so many seconds, over one connection; raises OSError when it breaks.

    What is sent late, because the answer before it was late, counts from the moment when it was due.
    """
    parts = urlsplit(url)
    result = Result(seconds)
    with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 80), timeout=10) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection, began = _Connection(peer), time.perf_counter()
        for number in range(int(seconds / every)):
            due = began + number * every
            late = time.perf_counter() > due
            time.sleep(max(0.0, due - time.perf_counter()))
            _send(connection, requests[number % len(requests)])
            connection.sent_at = due if late else connection.sent_at
            while not _receive(connection, result):
                continue
    return result


def _drive(
    poll: select.epoll, connections: dict[int, _Connection], requests: Iterator[bytes], seconds: float
) -> Result:
    result = Result(seconds)
    started = time.perf_counter()
    for connection in connections.values():
        _send(connection, next(requests))
    while (now := time.perf_counter()) - started < seconds:
        for descriptor, _ in poll.poll(1):
            connection = connections[descriptor]
            if _receive(connection, result):
                _send(connection, next(requests))
    result.seconds = now - started
    return result


def _send(connection: _Connection, request: bytes) -> None:
    connection.sent_at = time.perf_counter()
    connection.socket.sendall(request)


def _receive(connection: _Connection, result: Result) -> bool:
    """True when an answer is whole."""
    chunk = connection.socket.recv(_ONE_READ)
    if not chunk:
        raise ConnectionResetError("the server closed a keep-alive connection")
    connection.received += chunk
    status = complete(connection.received)
    if status:
        result.latencies.append(time.perf_counter() - connection.sent_at)
        result.statuses[status] += 1
        connection.received.clear()
    return status > 0


def complete(received: bytearray) -> int:
    """The status of a whole answer, or 0 while some of it is still to come."""
    end = received.find(_HEAD_END)
    if end < 0:
        return 0
    head = bytes(received[:end]).lower()
    at = head.find(_LENGTH)
    length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return int(head[9:12]) if len(received) >= end + len(_HEAD_END) + length else 0
