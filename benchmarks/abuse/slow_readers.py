"""60 readers of 10 KB/s ask for answers of 4 MB at once, with a plan of two requests in flight (LD3)."""

import asyncio
import contextlib
import socket
from collections.abc import Sequence

import httpx

from benchmarks.abuse.target import Finding, Target
from benchmarks.deployment import BenchmarkTenant
from billing.plans.schemas import PlanSpec, WindowSpec

_READERS = 60
_CONCURRENCY = 2
_CONTACTS, _NOTE = 100, "\N{GRINNING FACE}" * 10_000  # 40 KB each: an answer of 4 MB
_RATE = 10_000  # bytes a second
_SECONDS = 25.0
_PLAN = PlanSpec(
    code="two-in-flight",
    name="Two in flight",
    windows=(WindowSpec(name="minute", quota=1_000_000, window_seconds=60),),
    concurrency=_CONCURRENCY,
)


def measure(target: Target) -> Sequence[Finding]:
    """How many of the readers are being answered at the same time, and how many of those stay."""
    tenant = target.add_tenant("slow-readers", _PLAN)
    _fill(target, tenant)
    served, left = asyncio.run(_read_slowly(target, tenant))
    return (
        Finding(f"answers of 4 MB served at once, concurrency {_CONCURRENCY}", served),
        Finding(f"of these readers still served after {_SECONDS:.0f} s", left),
    )


def _fill(target: Target, tenant: BenchmarkTenant) -> None:
    with httpx.Client(base_url=target.url, headers=tenant.headers, timeout=10) as client:
        for number in range(target.options.scale(_CONTACTS, 10)):
            contact = {"name": f"Contact {number}", "notes": _NOTE}
            client.post("/v1/contacts", json=contact).raise_for_status()


async def _read_slowly(target: Target, tenant: BenchmarkTenant) -> tuple[int, int]:
    port = int(target.url.rpartition(":")[2])
    request = (
        b"GET /v1/contacts?limit=100 HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: %b\r\n\r\n" % tenant.api_key.encode()
    )
    statuses: list[int] = []
    readers = []
    for _ in range(target.options.scale(_READERS, 6)):
        readers.append(asyncio.create_task(_read(port, request, statuses)))
        await asyncio.sleep(0.05)  # so that each is decided before the next one asks
    await asyncio.sleep(2)
    served = statuses.count(200)
    await asyncio.sleep(target.options.scale(_SECONDS, 1.0))
    left = sum(not each.done() for each in readers)
    for each in readers:
        each.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    return served, left


async def _read(port: int, request: bytes, statuses: list[int]) -> None:
    """Return when the answer ends, or at once when it is a refusal."""
    loop = asyncio.get_running_loop()
    with contextlib.closing(socket.socket()) as connection, contextlib.suppress(ConnectionError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        connection.setblocking(False)  # noqa: FBT003 - positional only
        await loop.sock_connect(connection, ("127.0.0.1", port))
        await loop.sock_sendall(connection, request)
        status = int((await loop.sock_recv(connection, _RATE)).split(b" ", 2)[1])
        statuses.append(status)
        if status == httpx.codes.OK:
            while await loop.sock_recv(connection, _RATE):  # noqa: ASYNC110 - the pace of a slow reader
                await asyncio.sleep(1)
