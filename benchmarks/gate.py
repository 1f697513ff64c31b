"""The CPU time that each stage of the gate adds to a warm request, without a server.

The gate of a real deployment, with PostgreSQL and Redis, before a canned response; each row has one more stage than the
row above. All rows take turns in every round, so that a slow moment of the machine affects all of them. The result is
the fastest tenth in CPU time: the cost of the code, without other load of the machine.
"""

import asyncio
import copy
import dataclasses
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp, Message, Scope

from benchmarks.application_server import CANNED_PATH, create_canned_app
from benchmarks.bare import create_app as bare_app
from benchmarks.deployment import Deployment, open_deployment, settings_of
from benchmarks.options import Options, log_progress
from benchmarks.report import Cell, Column, Report, Table
from gateway.gate.gate import Gate, Stage
from gateway.request.route import PUBLIC, Route, Terms
from gateway.routing.stage import RoutingStage
from gateway.routing.table import RouteTable

Header = tuple[bytes, bytes]

_REQUESTS = 300  # in each round of each row


def measure(options: Options) -> Report:
    """Measure the microseconds that each stage adds."""
    rounds = options.scale(300, 5)
    with open_deployment() as deployment:
        log_progress(f"{rounds} rounds of {_REQUESTS} requests, each stage in turn")
        taken = asyncio.run(_measure(deployment, rounds))
    return Report([_table({name: statistics.quantiles(figures, n=10)[0] for name, figures in taken.items()})])


async def _measure(deployment: Deployment, rounds: int) -> dict[str, list[float]]:
    settings = settings_of(deployment.environment | {"TENANTRY_LOG_LEVEL": "ERROR"})  # keeps the log out of the output
    async with _started(create_canned_app(settings)) as gate:
        rows = _rows(gate)
        headers = _headers(deployment.tenant.api_key)
        taken: dict[str, list[float]] = {name: [] for name in rows}
        for app in rows.values():
            await _measure_round(app, headers)
        for _ in range(rounds):
            for name, app in rows.items():
                taken[name].append(await _measure_round(app, headers))
            await asyncio.sleep(0)  # lets background tasks lease tokens
        return taken


def _rows(gate: Gate) -> dict[str, ASGIApp]:
    """The bare application, then gates with one more stage each, starting with routing, which every gate needs.

    Closers, which record usage and metrics, are the last row.
    """
    stages = sorted(gate._stages, key=lambda stage: not isinstance(stage, RoutingStage))  # noqa: SLF001 - measures its parts
    rows: dict[str, ASGIApp] = {"bare": bare_app()}
    for count in range(1, len(stages) + 1):
        one = copy.copy(gate)
        one._stages = tuple(stages[:count])  # noqa: SLF001
        one._shared = dataclasses.replace(gate._shared, closers=())  # noqa: SLF001
        rows["gate alone, routing" if count == 1 else _name(stages[count - 1])] = one
    rows["closers"] = copy.copy(gate)
    open_route = Route("GET", CANNED_PATH, Terms(PUBLIC), bare_app())
    for name, row in rows.items():
        if isinstance(row, Gate) and name not in {
            "authorization",
            "entitlement",
            "closers",
        }:  # without identity, no guarded route is reachable
            row._stages = (RoutingStage(RouteTable([open_route])), *row._stages[1:])  # noqa: SLF001
    return rows


def _name(stage: Stage) -> str:
    """The name of the stage's class or method."""
    found: str = getattr(stage, "__name__", type(stage).__name__)
    return found.removesuffix("Stage").lower()


@asynccontextmanager
async def _started(app: ASGIApp) -> AsyncIterator[Gate]:
    """Run the application's lifespan around the block."""
    events: asyncio.Queue[Message] = asyncio.Queue()
    replies: asyncio.Queue[Message] = asyncio.Queue()
    await events.put({"type": "lifespan.startup"})
    lifespan = asyncio.create_task(_lifespan(app, events, replies))
    if (await replies.get())["type"] != "lifespan.startup.complete" or not isinstance(app, Gate):
        raise SystemExit("the gateway did not start")
    yield app
    await events.put({"type": "lifespan.shutdown"})
    await lifespan


async def _lifespan(app: ASGIApp, events: "asyncio.Queue[Message]", replies: "asyncio.Queue[Message]") -> None:
    await app({"type": "lifespan", "state": {}}, events.get, replies.put)


async def _measure_round(app: ASGIApp, headers: list[Header]) -> float:
    """CPU microseconds per request."""
    scopes = [_scope(headers) for _ in range(_REQUESTS)]
    started = time.thread_time()
    for scope in scopes:
        await app(scope, _receive, _send)
    return (time.thread_time() - started) / _REQUESTS * 1e6


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
        "path": CANNED_PATH,
        "raw_path": CANNED_PATH.encode(),
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 50_000),
        "state": {},
    }


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_message: Message) -> None:
    """Discard the response."""


def _table(best: dict[str, float]) -> Table:
    rows: list[list[Cell]] = []
    before = 0.0
    for name, figure in best.items():
        rows.append([name, figure, figure - before])
        before = figure
    columns = (Column("stage"), Column("CPU µs, total", ".2f"), Column("added", ".2f"))
    return Table("The stages of the gate, without a server: the fastest tenth of the rounds", columns, rows)
