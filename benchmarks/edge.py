"""What each stage of the edge adds to a warm request, without a server: ``python -m benchmarks.edge``.

Each round drives every work in turn, so that a slow moment of the machine falls on all of them. What is shown is the
fastest tenth: the cost of the code, and not of what else the machine did.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.table import Table
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.edge.access_log import AccessLog
from gateway.edge.body_limit import BodyLimitStage
from gateway.edge.framing import FramingStage
from gateway.edge.head import HeadStage
from gateway.edge.request_context import RequestContextStage
from gateway.edge.security_headers import SecurityHeaders
from gateway.edge.source import SourceReader
from gateway.edge.source_throttle import SourceThrottleStage
from gateway.logs import configure_logging
from gateway.problems import Problems
from gateway.request_context import RequestContext, context_of, open_context
from tenants.identifiers import TenantId, new_id
from tenants.principal import Principal, PrincipalKind, TenantRef, TenantStatus

_BODY_LIMIT = 1_048_576
_HEADERS = [
    (b"host", b"127.0.0.1:8000"),
    (b"user-agent", b"python-httpx/0.28"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
    (b"x-api-key", b"tn_test_0123456789abcdefghijABCDEFGHIJ0123456"),
]
_TENANT = TenantRef(TenantId(new_id()), "acme", TenantStatus.ACTIVE, "t_1", "t_1", "free")
_PRINCIPAL = Principal(PrincipalKind.API_KEY, new_id(), _TENANT, ("member",))


def main() -> None:
    """Run the rounds, print microseconds that each stage adds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--requests", type=int, default=500, help="in each round of each work")
    options = parser.parse_args()
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        works = _works(nowhere)
        taken = asyncio.run(_rounds(works, options.rounds, options.requests))
    best = {name: statistics.quantiles(figures, n=10)[0] for name, figures in taken.items()}
    table = Table("stage", "adds µs", title=f"the edge, warm, on Python {sys.version.split()[0]}")
    for name in list(works)[1:]:
        table.add_row(name, f"{best[name] - best['nothing']:.2f}")
    Console().print(table)


class _NoLog(AccessLog):
    def write(self, scope: Scope, context: RequestContext, status: int) -> None:
        """No line."""


def _works(nowhere: TextIO) -> dict[str, ASGIApp]:
    logger = configure_logging(level="INFO", readable=False, stream=nowhere)
    return {
        "nothing": _answer,
        "framing": FramingStage(_answer),
        "body limit": BodyLimitStage(_answer, _BODY_LIMIT),
        "source throttle": SourceThrottleStage(_answer),
        "head": HeadStage(_answer),
        "context": _context(_answer, _NoLog()),
        "all": _context(_within(), _NoLog()),
        "all, and a line in the log": _context(_within(), AccessLog(logger)),
    }


def _within() -> ASGIApp:
    return FramingStage(BodyLimitStage(SourceThrottleStage(HeadStage(_answer)), _BODY_LIMIT))


def _context(app: ASGIApp, access: AccessLog) -> ASGIApp:
    return RequestContextStage(
        app,
        problems=Problems("http://127.0.0.1:8000"),
        source=SourceReader(),
        headers=SecurityHeaders(https=False),
        access=access,
    )


async def _rounds(works: dict[str, ASGIApp], rounds: int, requests: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, app in works.items():
            began = time.process_time()
            for _ in range(requests):
                await app(_scope(), _receive, _send)
            taken[name].append((time.process_time() - began) / requests * 1_000_000)
    return taken


def _scope() -> Scope:
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/v1/me",
        "raw_path": b"/v1/me",
        "query_string": b"",
        "headers": _HEADERS,
        "client": ("127.0.0.1", 50_000),
        "state": {},
    }
    open_context(scope, RequestContext("req_01h455vb4pex5vsknk084sn02q", "127.0.0.1"))
    return scope


async def _answer(scope: Scope, _receive: Receive, send: Send) -> None:
    context_of(scope).principal = _PRINCIPAL
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_message: Message) -> None:
    """A client that takes everything."""


if __name__ == "__main__":
    main()
