"""Polls every worker until its responses show a change."""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

import orjson

from gateway.development.load import head_of, request_bytes, status_of

_TIMEOUT = 10.0  # seconds
_INTERVAL = 0.005  # seconds between two requests to one worker
_FIRST_SOURCE = IPv4Address("10.0.0.0")
_READ_SIZE = 65_536  # bytes


@dataclass(frozen=True, slots=True)
class Response:
    """A response to ``GET /v1/me``."""

    status: int
    body: dict[str, Any]


Condition = Callable[[Response], bool]


class WorkerPoller:
    """Polls each worker from its own thread, over its own connection."""

    def __init__(self, urls: Sequence[str], threads: ThreadPoolExecutor) -> None:
        self._urls = urls
        self._threads = threads
        self._sockets = [_connect(url) for url in urls]
        self._number = 0
        self._source = ""

    def warm(self, credential: str) -> None:
        """Send the credential to each worker, from a new source address."""
        self._number += 1  # repeated failures from one source would be throttled
        self._source = str(_FIRST_SOURCE + self._number)
        for url, connection in zip(self._urls, self._sockets, strict=True):
            _exchange(connection, self._request(url, credential))

    def seconds_until(self, condition: Condition, credential: str, change: Callable[[], None]) -> float:
        """Seconds from the end of the change until the condition holds on all workers; 0 if it held earlier."""
        started = threading.Barrier(len(self._urls) + 1)
        polls = [
            self._threads.submit(_poll, connection, self._request(url, credential), condition, started)
            for url, connection in zip(self._urls, self._sockets, strict=True)
        ]
        started.wait()
        change()
        changed = time.perf_counter()
        return max(0.0, max(poll.result() for poll in polls) - changed)

    def _request(self, url: str, credential: str) -> bytes:
        headers = {"Authorization": f"Bearer {credential}", "X-Forwarded-For": self._source}
        return request_bytes(f"{url}/v1/me", headers)


def _poll(connection: socket.socket, request: bytes, condition: Condition, started: threading.Barrier) -> float:
    started.wait()
    end = time.perf_counter() + _TIMEOUT
    while time.perf_counter() < end:
        if condition(_exchange(connection, request)):
            return time.perf_counter()
        time.sleep(_INTERVAL)
    raise SystemExit(f"a change was not in effect after {_TIMEOUT:.0f} s")


def _exchange(connection: socket.socket, request: bytes) -> Response:
    connection.sendall(request)
    received = b""
    while not (head := head_of(received)):
        received += connection.recv(_READ_SIZE)
    return Response(status_of(head), orjson.loads(received.partition(b"\r\n\r\n")[2]))


def _connect(url: str) -> socket.socket:
    host, _, port = url.rpartition("/")[2].partition(":")
    connection = socket.create_connection((host, int(port)), timeout=_TIMEOUT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
