"""Requests at a given rate, whether or not the answers keep up, as the street sends them.

A closed loop waits for the slow server that it should measure. Here each request has a moment at which it is due, and
its latency counts from there when all connections were still waiting for answers.
"""

import math
import multiprocessing
import random
import select
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from urllib.parse import urlsplit

from benchmarks.load import Result, complete

_ONE_READ = 65_536  # bytes
_LAST_ANSWERS = 5.0  # seconds that answers may still take after the last request


@dataclass(frozen=True, slots=True)
class Pace:
    """What to send where, and how fast."""

    urls: tuple[str, ...]  # base URLs, which get the requests in turn
    requests: Sequence[bytes]  # sent in turn, again and again
    rate: float  # requests a second, at random moments (Poisson)
    seconds: float = math.inf
    connections: int = 16  # to each URL


class _Connection:
    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._received = bytearray()
        self.since = 0.0  # when the request under way was sent, or due
        self.open()

    def open(self) -> None:
        self._socket = socket.create_connection(self._address, timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, request: bytes, since: float) -> None:
        self.since = since
        self._socket.sendall(request)

    def receive(self) -> int:
        """The status, once the answer is complete; until then 0."""
        chunk = self._socket.recv(_ONE_READ)
        if not chunk:
            raise ConnectionResetError("the server closed a connection in the middle of an answer")
        self._received += chunk
        status = complete(self._received)
        if status:
            closes = b"\r\nconnection: close" in self._received.lower()
            self._received.clear()
            if closes:
                self.close()
                self.open()
        return status

    def close(self) -> None:
        self._socket.close()


class _Run:
    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._requests = cycle(pace.requests)
        self._idle: deque[_Connection] = deque()
        self._busy: set[_Connection] = set()
        self._overdue: deque[float] = deque()
        self.result = Result(pace.seconds)

    def run(self) -> Result:
        for _ in range(self._pace.connections):
            self._idle += (_Connection(_address(url)) for url in self._pace.urls)
        choice, began = random.Random(1), time.perf_counter()  # noqa: S311 - repeatable on purpose
        due = began
        while due < began + self._pace.seconds:
            self._listen_until(due)
            self._ask(due)
            due += choice.expovariate(self._pace.rate)
        end = time.perf_counter() + _LAST_ANSWERS
        while self._busy and time.perf_counter() < end:
            self._listen(0.1)
        for connection in (*self._idle, *self._busy):
            connection.close()
        return self.result

    def _listen_until(self, due: float) -> None:
        while (left := due - time.perf_counter()) > 0:
            self._listen(left)
        self._listen(0)

    def _listen(self, seconds: float) -> None:
        for connection in select.select(self._busy, (), (), seconds)[0]:
            status = connection.receive()
            if status:
                self.result.latencies.append(time.perf_counter() - connection.since)
                self.result.statuses[status] += 1
                self._next(connection)

    def _next(self, connection: _Connection) -> None:
        if self._overdue:
            connection.send(next(self._requests), self._overdue.popleft())
        else:
            self._busy.discard(connection)
            self._idle.append(connection)

    def _ask(self, due: float) -> None:
        if not self._idle:
            self._overdue.append(due)
            return
        connection = self._idle.popleft()
        self._busy.add(connection)
        connection.send(next(self._requests), time.perf_counter())


def run_paced(pace: Pace) -> Result:
    """Send, and return what was answered. Raises OSError when a connection breaks."""
    return _Run(pace).run()


@contextmanager
def beside(pace: Pace) -> Iterator[None]:
    """Send in a process of its own until the block ends."""
    process = multiprocessing.get_context("spawn").Process(target=run_paced, args=(pace,), daemon=True)
    process.start()
    try:
        yield
        if process.exitcode is not None:
            raise SystemExit(f"the load beside has ended by itself, with {process.exitcode}")
    finally:
        process.terminate()
        process.join()


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80
