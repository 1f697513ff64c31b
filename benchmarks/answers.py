"""Revocations through the API under load: how long their answers take, and what is admitted after them.

Connections to every worker send requests with keys that are revoked one after another, each through another worker. A
revoked key stays in use for a while, so that requests that begin after the answer are sent to all workers.
"""

import asyncio
import itertools
import math
import random
import time
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

import orjson
import uvloop

from benchmarks.options import Options, log_progress
from gateway.development.load import request_bytes

_RATE = 2_000  # requests per second, over all workers
_CONNECTIONS = 8  # to each worker
_KEYS = 16  # in use at a time
_LINGER = 1.0  # seconds for which a revoked key stays in use
_SOURCES = IPv4Address("10.128.0.0")  # a key has its own: repeated failures of one source would be throttled
_READ_SIZE = 65_536


@dataclass(eq=False, slots=True)
class _Key:
    """A key in use, and when its revocation was answered."""

    id: str
    requests: tuple[bytes, ...]  # one for each worker
    answered: float = math.inf  # time.perf_counter()


@dataclass(slots=True)
class Answers:
    """What was measured."""

    seconds: list[float] = field(default_factory=list)  # of each revocation
    requests: int = 0
    after: int = 0  # of them began after the answer to the revocation of their key
    admitted: int = 0  # of these


@dataclass(frozen=True, slots=True)
class RevocationLoad:
    """Runs in a process of its own."""

    urls: tuple[str, ...]
    admin_key: str
    revocations: int
    least_requests: int

    def run(self) -> Answers:
        """Revoke so many keys during so many requests at least."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_Run(self).run())


def measure_answers(urls: tuple[str, ...], admin_key: str, options: Options) -> RevocationLoad:
    """The load of a full or quick run."""
    load = RevocationLoad(urls, admin_key, options.scale(1_000, 10), options.scale(1_000_000, 1_000))
    log_progress(f"{load.revocations:,} revocations during {load.least_requests:,} requests")
    return load


class _Run:
    def __init__(self, load: RevocationLoad) -> None:
        self._load = load
        self._answers = Answers()
        self._keys: list[_Key] = []
        self._numbers = itertools.count()
        self._running = True
        self._choice = random.Random(11)  # noqa: S311 - repeatable on purpose

    async def run(self) -> Answers:
        load, pause = self._load, self._load.least_requests / _RATE / self._load.revocations
        admin = [await _Connection.open(url) for url in load.urls]
        self._keys = [await self._new_key(admin[0]) for _ in range(_KEYS)]
        async with asyncio.TaskGroup() as group:
            for number, _ in itertools.product(range(len(load.urls)), range(_CONNECTIONS)):
                group.create_task(self._send(number))
            for number in range(load.revocations):
                await asyncio.sleep(pause * self._choice.uniform(0.5, 1.5))
                await self._revoke(admin[number % len(admin)], group)
            while self._answers.requests < load.least_requests:  # noqa: ASYNC110 - thousands are counted each second
                await asyncio.sleep(0.1)
            await asyncio.sleep(_LINGER)
            self._running = False
        return self._answers

    async def _send(self, worker: int) -> None:
        connection, answers = await _Connection.open(self._load.urls[worker]), self._answers
        pause = len(self._load.urls) * _CONNECTIONS / _RATE
        due = time.perf_counter() + pause * self._choice.random()
        while self._running:
            await asyncio.sleep(due - time.perf_counter())
            due = max(due + pause, time.perf_counter() - 1)
            key, began = self._choice.choice(self._keys), time.perf_counter()
            status, _ = await connection.exchange(key.requests[worker])
            answers.requests += 1
            if began > key.answered:
                answers.after += 1
                answers.admitted += status == 200  # noqa: PLR2004

    async def _revoke(self, admin: "_Connection", group: asyncio.TaskGroup) -> None:
        key = next(each for each in self._keys if each.answered == math.inf)
        began = time.perf_counter()
        status, body = await admin.exchange(self._request("POST", f"/v1/api-keys/{key.id}/revoke"))
        key.answered = time.perf_counter()
        if status != 204:  # noqa: PLR2004
            raise SystemExit(f"a revocation was answered with {status}: {body!r}")
        self._answers.seconds.append(key.answered - began)
        group.create_task(self._replace(key, admin))

    async def _replace(self, key: _Key, admin: "_Connection") -> None:
        await asyncio.sleep(_LINGER)
        self._keys[self._keys.index(key)] = await self._new_key(admin)

    async def _new_key(self, admin: "_Connection") -> _Key:
        body = orjson.dumps({"name": "revoked soon", "role": "viewer"})
        status, answer = await admin.exchange(self._request("POST", "/v1/api-keys", body))
        if status != 201:  # noqa: PLR2004
            raise SystemExit(f"a key could not be created: {status} {answer!r}")
        made: dict[str, Any] = orjson.loads(answer)
        headers = {"X-API-Key": made["secret"], "X-Forwarded-For": str(_SOURCES + next(self._numbers))}
        return _Key(made["id"], tuple(request_bytes(f"{url}/v1/me", headers) for url in self._load.urls))

    def _request(self, method: str, path: str, body: bytes = b"") -> bytes:
        headers = {"X-API-Key": self._load.admin_key} | ({} if body else {"Content-Length": "0"})
        return request_bytes(f"{self._load.urls[0]}{path}", headers, method, body)


class _Connection:
    """One request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, url: str) -> "_Connection":
        """Connect to a worker."""
        host, _, port = url.rpartition("/")[2].partition(":")
        return cls(*await asyncio.open_connection(host, int(port), limit=_READ_SIZE))

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the response."""
        async with self._turn:
            self._writer.write(request)
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            return int(head[9:12]), await self._reader.readexactly(int(length or 0))
