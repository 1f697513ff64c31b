"""What each stage of the gate adds to a warm request, without a server.

The gate of a real deployment, with PostgreSQL and Redis behind it, led to a canned answer; each row has one stage more
than the row above. Rounds drive every row in turn, so that a slow moment of the machine falls on all of them; what is
shown is the fastest tenth in CPU time: the cost of the code, and not of what else the machine did.
"""

import asyncio
import copy
import dataclasses
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp, Message, Scope

from benchmarks import canned
from benchmarks.bare import create_app as bare_app
from benchmarks.effort import Effort, say
from benchmarks.report import Cell, Column, Report, Table
from benchmarks.stand import Stand, open_stand, settings_of
from gateway.gate.gate import Gate, Stage
from gateway.request.route import PUBLIC, Route, Terms
from gateway.routing.stage import RoutingStage
from gateway.routing.table import RouteTable

Header = tuple[bytes, bytes]

_REQUESTS = 300  # in each round of each row


def measure(effort: Effort) -> Report:
    """Microseconds that each stage adds."""
    rounds = effort.of(300, 5)
    with open_stand() as stand:
        say(f"{rounds} rounds of {_REQUESTS} requests, each stage in turn")
        taken = asyncio.run(_measure(stand, rounds))
    return Report([_table({name: statistics.quantiles(figures, n=10)[0] for name, figures in taken.items()})])


async def _measure(stand: Stand, rounds: int) -> dict[str, list[float]]:
    settings = settings_of(stand.environment | {"TENANTRY_LOG_LEVEL": "ERROR"})  # our own output is no log
    async with _running(canned.create_app(settings)) as gate:
        works = _rows(gate)
        headers = _headers(stand.tenant.api_key)
        taken: dict[str, list[float]] = {name: [] for name in works}
        for app in works.values():
            await _drive(app, headers)
        for _ in range(rounds):
            for name, app in works.items():
                taken[name].append(await _drive(app, headers))
            await asyncio.sleep(0)  # tokens are leased in the background
        return taken


def _rows(gate: Gate) -> dict[str, ASGIApp]:
    """The bare callable, then gates with one stage more each; the route comes first, since every gate needs one.

    Closers, which count what was used and measured, come last of all.
    """
    stages = sorted(gate._stages, key=lambda stage: not isinstance(stage, RoutingStage))  # noqa: SLF001 - taken apart
    rows: dict[str, ASGIApp] = {"bare": bare_app()}
    for count in range(1, len(stages) + 1):
        one = copy.copy(gate)
        one._stages = tuple(stages[:count])  # noqa: SLF001
        one._shared = dataclasses.replace(gate._shared, closers=())  # noqa: SLF001
        rows["gate alone, routing" if count == 1 else _name(stages[count - 1])] = one
    rows["closers"] = copy.copy(gate)
    open_route = Route("GET", canned.PATH, Terms(PUBLIC), bare_app())
    for name, row in rows.items():
        if isinstance(row, Gate) and name not in {
            "authorization",
            "closers",
        }:  # before identity nobody may pass a guard
            row._stages = (RoutingStage(RouteTable([open_route])), *row._stages[1:])  # noqa: SLF001
    return rows


def _name(stage: Stage) -> str:
    """Of its class, or of the method that it is."""
    found: str = getattr(stage, "__name__", type(stage).__name__)
    return found.removesuffix("Stage").lower()


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


async def _drive(app: ASGIApp, headers: list[Header]) -> float:
    """Microseconds of CPU that a request took."""
    scopes = [_scope(headers) for _ in range(_REQUESTS)]
    began = time.thread_time()
    for scope in scopes:
        await app(scope, _receive, _send)
    return (time.thread_time() - began) / _REQUESTS * 1e6


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
    rows: list[list[Cell]] = []
    before = 0.0
    for name, figure in best.items():
        rows.append([name, figure, figure - before])
        before = figure
    columns = (Column("with"), Column("CPU µs", ".2f"), Column("adds", ".2f"))
    return Table("The stages of the gate, called without a server: the fastest tenth of the rounds", columns, rows)
