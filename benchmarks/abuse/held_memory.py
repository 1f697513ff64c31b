"""300 anonymous connections send most of a body at once and then a trickle, so that it is never complete (LD2)."""

import asyncio
import contextlib
import time
from collections.abc import Sequence

from benchmarks.abuse.target import Finding, Target

_CONNECTIONS = 300
_AT_ONCE = 980_000  # bytes
_TRICKLE = 650  # bytes a second
_SECONDS = 45.0
_BODY = 1_048_576  # bytes, the limit
_HEAD = (
    b"POST /v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 203.0.113.9\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % _BODY
)


def measure(target: Target) -> Sequence[Finding]:
    """The peak of the workers' memory, and what is left of the connections."""
    before = target.server.memory_megabytes()
    peak, left = asyncio.run(_attack(target))
    return (
        Finding(f"MB pinned by {_CONNECTIONS} slow bodies of 980 KB", peak - before),
        Finding(f"of these bodies still held after {_SECONDS:.0f} s", left),
    )


async def _attack(target: Target) -> tuple[float, int]:
    port = int(target.url.rpartition(":")[2])
    senders = [asyncio.create_task(_send(port)) for _ in range(target.options.scale(_CONNECTIONS, 30))]
    peak, end = 0.0, time.monotonic() + target.options.scale(_SECONDS, 3.0)
    while time.monotonic() < end:
        await asyncio.sleep(0.5)
        peak = max(peak, target.server.memory_megabytes())
    left = sum(not each.done() for each in senders)
    for each in senders:
        each.cancel()
    await asyncio.gather(*senders, return_exceptions=True)
    return peak, left


async def _send(port: int) -> None:
    """Return when the server has answered or closed the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    trickle = asyncio.create_task(_trickle(writer))
    try:
        with contextlib.suppress(ConnectionError):
            await reader.read(1)
    finally:
        trickle.cancel()
        writer.transport.abort()


async def _trickle(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        writer.write(_HEAD + b" " * _AT_ONCE)
        await writer.drain()
        for _ in range((_BODY - _AT_ONCE) // _TRICKLE):
            await asyncio.sleep(1)
            writer.write(b" " * _TRICKLE)
            await writer.drain()
