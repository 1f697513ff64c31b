"""What counting adds to a warm request: ``python -m benchmarks.usage``.

The gateway's own outermost stage and the usage stage over an application that answers at once, without a server. Each
round runs the same requests with counting and without it, and bare calls of the journal, interleaved; no I/O but the
journal's own. Measured in CPU time, over many short rounds of which the best tenth counts, since other work on the
machine takes caches and clock away from the rest. ``--keys`` callers in turn show what many slots cost.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from rich.console import Console
from rich.table import Table
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.edge.access_log import AccessLog
from gateway.edge.request_context import RequestContextStage
from gateway.edge.security_headers import SecurityHeaders
from gateway.edge.source import SourceReader
from gateway.problems import Problems
from gateway.request_context import context_of
from gateway.usage.recorder import UsageRecorder
from gateway.usage.settings import UsageSettings
from gateway.usage.stage import UsageStage
from tenants.database.engine import open_engine
from tenants.database.sessions import Database
from tenants.identifiers import TenantId, new_id
from tenants.principal import Principal, PrincipalKind, TenantRef, TenantStatus
from tenants.settings import DatabaseSettings

_NOWHERE = DatabaseSettings("postgresql://nobody@127.0.0.1:1/nothing")  # never asked
_LIMIT = 3.0  # µs, what issue 3 allows
Work = Callable[[int], Awaitable[None]]


class _Route:
    path_format = "/v1/contacts/{id}"


class _Rig:
    """The two ways of a request, over the same callers."""

    def __init__(self, folder: Path, keys: int) -> None:
        database = Database(open_engine(_NOWHERE), _NOWHERE)
        self.usage = UsageRecorder(UsageSettings(folder, slots=max(4095, 2 * keys)), database)
        self.usage.journal.open()
        self.callers = [_principal() for _ in range(keys)]
        # Half a turn ahead: who was asked without counting must not warm the caches for who is counted.
        counted = _Identity(
            UsageStage(_answer, self.usage.journal), self.callers[keys // 2 :] + self.callers[: keys // 2]
        )
        self.works: dict[str, Work] = {
            "not counted": _requests(_edge(_Identity(_answer, self.callers))),
            "counted": _requests(_edge(counted, self.usage)),
            "the journal alone": self._count,
        }

    async def _count(self, times: int) -> None:
        journal, callers = self.usage.journal, self.callers
        for number in range(times):
            journal.count(callers[number % len(callers)], _Route.path_format, 2, 1)


class _Identity:
    """Gives each request the next caller."""

    def __init__(self, app: ASGIApp, callers: list[Principal]) -> None:
        self._app = app
        self._callers = callers
        self._number = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._number = (self._number + 1) % len(self._callers)
        context_of(scope).principal = self._callers[self._number]
        scope["route"] = _Route
        await self._app(scope, receive, send)


def main() -> None:
    """Run the rounds, print microseconds a request and what counting adds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--requests", type=int, default=200, help="in each round of each work")
    parser.add_argument("--keys", type=int, nargs="+", default=[1, 1000, 100_000])
    options = parser.parse_args()
    console = Console()
    table = Table("callers", "work", "CPU µs", "median", "of not counted", title="one request, without a server")
    added = {}
    for keys in options.keys:
        with TemporaryDirectory() as folder:
            taken = asyncio.run(_rounds(_Rig(Path(folder), keys), options.rounds, options.requests))
        best = {name: statistics.quantiles(figures, n=10)[0] for name, figures in taken.items()}
        for name, figures in taken.items():
            share = best[name] / best["not counted"]
            table.add_row(f"{keys:,}", name, f"{best[name]:.2f}", f"{statistics.median(figures):.2f}", f"{share:.2f}")
        added[keys] = best["counted"] - best["not counted"]
    console.print(table)
    for keys, cost in added.items():
        console.print(
            f"{keys:,} callers: counting adds {cost:.2f} µs, {cost / _LIMIT:.2f} of the {_LIMIT:.0f} µs allowed"
        )


async def _rounds(rig: _Rig, rounds: int, requests: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in rig.works}
    for work in rig.works.values():
        await work(max(requests, len(rig.callers)))  # warm: each caller has its slot
    for _ in range(rounds):
        for name, work in rig.works.items():
            started = time.process_time()
            await work(requests)
            taken[name].append((time.process_time() - started) / requests * 1e6)
    return taken


def _edge(app: ASGIApp, usage: UsageRecorder | None = None) -> ASGIApp:
    silent = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50))
    rest = {} if usage is None else {"count": usage.count}
    return RequestContextStage(
        app,
        problems=Problems("http://gateway.test"),
        source=SourceReader(),
        headers=SecurityHeaders(https=False),
        access=AccessLog(silent),
        **rest,
    )


def _requests(app: ASGIApp) -> Work:
    async def run(times: int) -> None:
        for _ in range(times):
            await app({"type": "http", "method": "GET", "headers": [], "client": ("192.0.2.1", 1)}, _receive, _send)

    return run


def _principal() -> Principal:
    tenant = TenantId(new_id())
    reference = TenantRef(tenant, "acme", TenantStatus.ACTIVE, f"t_{tenant.hex}", f"t_{tenant.hex}", "free")
    return Principal(PrincipalKind.API_KEY, new_id(), reference, ("member",))


async def _answer(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_message: Message) -> None:
    """A client that takes everything."""


if __name__ == "__main__":
    main()
