"""Memory of a worker under proxied streams: idle WebSockets, and a body of 1 GB in each direction."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import urlsplit

from benchmarks.deployment import Deployment, open_deployment
from benchmarks.options import Options, log_progress
from benchmarks.proxy import declare_routes
from benchmarks.report import Bound, Cell, Column, Report, Table, Target
from benchmarks.servers import Server
from gateway.development.processes import LOOPBACK
from tenants.routes.schemas import Configuration, RouteSpec, TargetSpec, UpstreamSpec, WebSocketSpec

_MEBIBYTE = 1_048_576
_PIECE = bytes(65_536)
_SAMPLE = 0.05  # seconds between two looks at the memory
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_PERMISSION = "contacts:read"
_MOST_FOR_SOCKETS, _MOST_FOR_BODY = 30.0, 10.0  # megabytes


def measure(options: Options) -> Report:
    """Resident memory of one worker before, during and after."""
    sockets, megabytes = options.scale(1_000, 20), options.scale(1_024, 16)
    with open_deployment() as deployment:
        figures = asyncio.run(_measure(deployment, sockets, megabytes))
    columns = (Column("stream"), Column("MB before", ".1f"), Column("MB at most", ".1f"), Column("growth", ".1f"))
    rows: list[list[Cell]] = [[name, before, most, most - before] for name, (before, most) in figures.items()]
    bounds = dict(zip(figures, (_MOST_FOR_SOCKETS, _MOST_FOR_BODY, _MOST_FOR_BODY), strict=True))
    targets = [
        Target(f"{name}: MB", Bound.AT_MOST, bounds[name], most - before, ".1f")
        for name, (before, most) in figures.items()
    ]
    return Report([Table("Memory of a worker that relays streams", columns, rows)], targets)


async def _measure(deployment: Deployment, sockets: int, megabytes: int) -> dict[str, tuple[float, float]]:
    upstream = await asyncio.start_server(_answer, LOOPBACK, 0)
    url = f"http://{LOOPBACK}:{upstream.sockets[0].getsockname()[1]}"
    await asyncio.to_thread(declare_routes, deployment, _configuration(url))
    gateway = await asyncio.to_thread(deployment.servers.gateway)
    client = _Client(gateway, deployment.tenant.api_key)
    await client.warm_up()
    works: dict[str, Callable[[], Awaitable[None]]] = {
        f"{sockets:,} idle WebSockets": lambda: client.hold_sockets(sockets),
        f"{megabytes:,} MB downloaded": lambda: client.download(megabytes),
        f"{megabytes:,} MB uploaded": lambda: client.upload(megabytes),
    }
    figures = {}
    for name, work in works.items():
        log_progress(name)
        figures[name] = await _memory_during(gateway, work)
    upstream.close()
    return figures


def _configuration(url: str) -> Configuration:
    route = RouteSpec(
        name="streams",
        upstream="streams",
        path="/streams",
        permission=_PERMISSION,
        websocket=WebSocketSpec(),
        body_limit=2_048 * _MEBIBYTE,
    )
    upstream = UpstreamSpec(name="streams", targets=(TargetSpec(url=url),), connections=2_000)
    return Configuration(upstreams=(upstream,), routes=(route,))


async def _memory_during(gateway: Server, work: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Megabytes before, and at most until the work is done."""
    before = most = gateway.memory_megabytes()
    task = asyncio.ensure_future(work())
    while not task.done():
        await asyncio.wait([task], timeout=_SAMPLE)
        most = max(most, gateway.memory_megabytes())
    await task
    return before, most


class _Client:
    """Plain sockets: a client library's buffers and pace are not what is measured."""

    def __init__(self, gateway: Server, key: str) -> None:
        self._host = urlsplit(gateway.url).netloc
        self._key = key

    async def warm_up(self) -> None:
        """What a first request loads must not count as the streams'."""
        await self.download(1)
        await self.upload(1)
        await self.hold_sockets(5)

    async def hold_sockets(self, count: int) -> None:
        """Open them, wait a moment, close them."""
        opened = [await self._upgrade() for _ in range(count)]
        await asyncio.sleep(1.0)
        for writer in opened:
            writer.close()

    async def download(self, megabytes: int) -> None:
        reader, writer = await self._send("GET", f"/streams/{megabytes}", "")
        await reader.readuntil(b"\r\n\r\n")
        left = megabytes * _MEBIBYTE
        while left:
            received = await reader.read(len(_PIECE))
            if not received:
                raise SystemExit("the download was cut short")
            left -= len(received)
        writer.close()

    async def upload(self, megabytes: int) -> None:
        length = megabytes * _MEBIBYTE
        reader, writer = await self._send("PUT", "/streams/upload", f"Content-Length: {length}\r\n")
        for _ in range(length // len(_PIECE)):
            writer.write(_PIECE)
            await writer.drain()
        _expect(await reader.readuntil(b"\r\n\r\n"), 200)
        writer.close()

    async def _upgrade(self) -> asyncio.StreamWriter:
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        fields = (
            f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        )
        reader, writer = await self._send("GET", "/streams/socket", fields)
        _expect(await reader.readuntil(b"\r\n\r\n"), 101)
        return writer

    async def _send(self, method: str, path: str, fields: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = self._host.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nX-API-Key: {self._key}\r\n{fields}\r\n"
        writer.write(head.encode("ascii"))
        return reader, writer


def _expect(head: bytes, status: int) -> None:
    if int(head.split(b" ", 2)[1]) != status:
        raise SystemExit(f"expected {status}: {head.decode('latin-1')}")


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The upstream: GET a number of megabytes, PUT any, or a WebSocket that says nothing."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            fields = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if line)
            method, path = head.split(" ", 2)[:2]
            if "upgrade" in fields:
                await _hold(reader, writer, head)
                return
            if method == "PUT":
                await _swallow(reader, int(fields["content-length"]))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            else:
                await _pour(writer, int(path.rsplit("/", 1)[1]) * _MEBIBYTE)
    writer.close()


async def _hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
    line = next(each for each in head.splitlines() if each.lower().startswith("sec-websocket-key:"))
    accept = base64.b64encode(hashlib.sha1(line.split(": ")[1].encode() + _GUID, usedforsecurity=False).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    await reader.read()
    writer.close()


async def _swallow(reader: asyncio.StreamReader, left: int) -> None:
    while left:
        received = await reader.read(min(left, len(_PIECE)))
        if not received:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(received)


async def _pour(writer: asyncio.StreamWriter, length: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
    for _ in range(length // len(_PIECE)):
        writer.write(_PIECE)
        await writer.drain()
    await writer.drain()
