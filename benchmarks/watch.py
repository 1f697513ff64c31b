"""Asks every worker again and again until each shows that it knows of a change."""

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

_GIVE_UP = 10.0  # seconds
_PAUSE = 0.005  # seconds between two questions to one worker
_FIRST_SENDER = IPv4Address("10.0.0.0")
_ONE_READ = 65_536  # bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker said to ``GET /v1/me``."""

    status: int
    body: dict[str, Any]


Shows = Callable[[Answer], bool]


class Workers:
    """Each worker is asked by a thread of its own, over a connection of its own."""

    def __init__(self, urls: Sequence[str], threads: ThreadPoolExecutor) -> None:
        self._urls = urls
        self._threads = threads
        self._sockets = [_connect(url) for url in urls]
        self._number = 0
        self._sender = ""

    def warm(self, credential: str) -> None:
        """Let each of them know the credential, and take what comes for another sender's than before."""
        self._number += 1  # who is refused again and again would be throttled
        self._sender = str(_FIRST_SENDER + self._number)
        for url, connection in zip(self._urls, self._sockets, strict=True):
            _ask(connection, self._request(url, credential))

    def time_to_show(self, credential: str, shows: Shows, change: Callable[[], None]) -> float:
        """Seconds from the end of the change until all of them show it; 0 when they do so even before."""
        begun = threading.Barrier(len(self._urls) + 1)
        watches = [
            self._threads.submit(_watch, connection, self._request(url, credential), shows, begun)
            for url, connection in zip(self._urls, self._sockets, strict=True)
        ]
        begun.wait()
        change()
        changed = time.perf_counter()
        return max(0.0, max(watch.result() for watch in watches) - changed)

    def _request(self, url: str, credential: str) -> bytes:
        headers = {"Authorization": f"Bearer {credential}", "X-Forwarded-For": self._sender}
        return request_bytes(f"{url}/v1/me", headers)


def _watch(connection: socket.socket, request: bytes, shows: Shows, begun: threading.Barrier) -> float:
    begun.wait()
    end = time.perf_counter() + _GIVE_UP
    while time.perf_counter() < end:
        if shows(_ask(connection, request)):
            return time.perf_counter()
        time.sleep(_PAUSE)
    raise SystemExit(f"a change was not in force after {_GIVE_UP:.0f} s")


def _ask(connection: socket.socket, request: bytes) -> Answer:
    connection.sendall(request)
    received = b""
    while not (head := head_of(received)):
        received += connection.recv(_ONE_READ)
    return Answer(status_of(head), orjson.loads(received.partition(b"\r\n\r\n")[2]))


def _connect(url: str) -> socket.socket:
    host, _, port = url.rpartition("/")[2].partition(":")
    connection = socket.create_connection((host, int(port)), timeout=_GIVE_UP)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
