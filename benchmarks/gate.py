"""What each stage of the gate adds to a warm request, without a server: ``python -m benchmarks.gate``.

The gate of a real deployment, with PostgreSQL and Redis behind it, led to a canned answer; each row has one stage more
than the row above. Rounds drive every row in turn, so that a slow moment of the machine falls on all of them; what is
shown is the fastest tenth in CPU time: the cost of the code, and not of what else the machine did.
"""

import argparse
import asyncio
import copy
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console
from rich.table import Table
from starlette.types import ASGIApp, Message, Scope

from benchmarks import canned
from benchmarks.bare import create_app as bare_app
from benchmarks.stand import open_stand
from gateway.edge.gate import Gate
from gateway.edge.routing import RoutingStage
from gateway.route import PUBLIC, Route
from gateway.route_table import RouteTable

Header = tuple[bytes, bytes]


def main() -> None:
    """Run the rounds, print microseconds that each stage adds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--requests", type=int, default=300, help="in each round of each row")
    options = parser.parse_args()
    with open_stand() as stand:
        os.environ.update(stand.environment | {"TENANTRY_ACCESS_LOG_SHARE": "0.01"})
        taken = asyncio.run(_measure(stand.api_key, options.rounds, options.requests))
    Console().print(_table({name: statistics.quantiles(figures, n=10)[0] for name, figures in taken.items()}))


async def _measure(api_key: str, rounds: int, requests: int) -> dict[str, list[float]]:
    async with _running(canned.create_app()) as gate:
        works = _rows(gate)
        headers = _headers(api_key)
        taken: dict[str, list[float]] = {name: [] for name in works}
        for app in works.values():
            await _drive(app, headers, requests)
        for _ in range(rounds):
            for name, app in works.items():
                taken[name].append(await _drive(app, headers, requests))
            await asyncio.sleep(0)  # tokens are leased in the background
        return taken


def _rows(gate: Gate) -> dict[str, ASGIApp]:
    """The bare callable, then gates with one stage more each; the route comes first, since every gate needs one."""
    stages = sorted(gate._stages, key=lambda stage: not isinstance(stage, RoutingStage))  # noqa: SLF001 - taken apart
    rows: dict[str, ASGIApp] = {"bare": bare_app()}
    for count in range(1, len(stages) + 1):
        one = copy.copy(gate)
        one._stages = tuple(stages[:count])  # noqa: SLF001
        name = type(stages[count - 1]).__name__.removesuffix("Stage").lower()
        rows["gate alone, routing" if count == 1 else name] = one
    open_route = Route("GET", canned.PATH, PUBLIC, bare_app())
    for name, row in rows.items():
        if isinstance(row, Gate) and name != "authorization":  # before identity nobody may pass a guard
            row._stages = (RoutingStage(RouteTable([open_route])), *row._stages[1:])  # noqa: SLF001
    return rows


@asynccontextmanager
async def _running(app: ASGIApp) -> AsyncIterator[Gate]:
    """The application between its start and its stop."""
    told: asyncio.Queue[Message] = asyncio.Queue()
    answers: asyncio.Queue[Message] = asyncio.Queue()
    await told.put({"type": "lifespan.startup"})
    life = asyncio.create_task(_life(app, told, answers))
    if (await answers.get())["type"] != "lifespan.startup.complete" or not isinstance(app, Gate):
        raise SystemExit("the gateway did not start")
    yield app
    await told.put({"type": "lifespan.shutdown"})
    await life


async def _life(app: ASGIApp, told: "asyncio.Queue[Message]", answers: "asyncio.Queue[Message]") -> None:
    await app({"type": "lifespan", "state": {}}, told.get, answers.put)


async def _drive(app: ASGIApp, headers: list[Header], requests: int) -> float:
    """Microseconds of CPU that a request took."""
    scopes = [_scope(headers) for _ in range(requests)]
    began = time.thread_time()
    for scope in scopes:
        await app(scope, _receive, _send)
    return (time.thread_time() - began) / requests * 1e6


def _headers(api_key: str) -> list[Header]:
    fields = {
        "host": "127.0.0.1:8000",
        "user-agent": "python-httpx/0.28",
        "accept": "*/*",
        "accept-encoding": "gzip, deflate",
        "connection": "keep-alive",
        "x-api-key": api_key,
    }
    return [(name.encode(), value.encode()) for name, value in fields.items()]


def _scope(headers: list[Header]) -> Scope:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": canned.PATH,
        "raw_path": canned.PATH.encode(),
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 50_000),
        "state": {},
    }


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_message: Message) -> None:
    """A client that takes everything."""


def _table(best: dict[str, float]) -> Table:
    table = Table("with", "µs", "adds", title=f"one warm request, on Python {sys.version.split()[0]}")
    before = 0.0
    for name, figure in best.items():
        table.add_row(name, f"{figure:.2f}", f"{figure - before:.2f}")
        before = figure
    return table


if __name__ == "__main__":
    main()
