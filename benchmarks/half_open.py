"""The latency of other clients during 2,000 half-open connections (slowloris).

Rounds without and with 2,000 connections that have sent half a head, interleaved. A separate process with a low
priority holds them, and replaces each one that the server closes. ``python -m benchmarks.half_open <port> <count>`` is
that process.
"""

import os
import select
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.application_server import CANNED_PATH
from benchmarks.deployment import Deployment, open_deployment
from benchmarks.options import Options, log_progress
from benchmarks.report import Bound, Cell, Column, Report, Table, Target
from benchmarks.workloads import Workload, p50, p99, rate, value_range
from gateway.development.load import request_bytes
from gateway.development.processes import LOOPBACK, Child, Launch, wait_until
from gateway.http1.sockets import raise_descriptor_limit

_COUNT = 2_000
_ROUND = 12.0  # seconds, longer than the timeout of a head: every connection is closed and replaced once
_PARTIAL_HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: "
_HELD = "held"
_OPEN_TIMEOUT = 30.0  # seconds
_NICE = 19
_BATCH = 50  # connections opened between two checks for closed ones


def measure(options: Options) -> Report:
    """Measure the canned gate in a closed loop."""
    with open_deployment() as deployment:
        server = deployment.servers.application("canned")
        requests = [request_bytes(server.url + CANNED_PATH, deployment.tenant.headers)]
        without, during = Workload("none", server, requests), Workload(f"{_COUNT:,}", server, requests)
        without.run(options.scale(1.0, 0.2))
        for number in range(1, options.rounds + 1):
            log_progress(f"round {number} of {options.rounds}, without and with {_COUNT:,}")
            without.samples.append(without.run(options.scale(_ROUND, 0.5)))
            with _held(deployment, server.url):
                during.samples.append(during.run(options.scale(_ROUND, 0.5)))
    target = Target(
        "p99 during 2,000 half-open connections / without", Bound.AT_MOST, 1.05, median(during.ratios(without, p99))
    )
    return Report([_table(without, during)], [target])


@contextmanager
def _held(deployment: Deployment, url: str) -> Iterator[None]:
    log = deployment.servers.folder / "holder.log"
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.half_open", url.rpartition(":")[2], str(_COUNT)]
    holder = Child(Launch(command=command, folder=Path.cwd(), log=log, environment=dict(os.environ)))
    try:
        wait_until(lambda: _HELD in log.read_text(encoding="ascii"), holder, _OPEN_TIMEOUT, "the holder")
        yield
    finally:
        holder.stop()


def _hold(port: int, count: int) -> None:
    """Keep a number of half-open connections until stopped."""
    os.nice(_NICE)
    raise_descriptor_limit()
    poll = select.epoll()
    held: dict[int, socket.socket] = {}
    announced = False
    while True:
        for _ in range(min(_BATCH, count - len(held))):
            connection = socket.create_connection((LOOPBACK, port))
            connection.sendall(_PARTIAL_HEAD)
            held[connection.fileno()] = connection
            poll.register(connection, select.EPOLLIN)
        if len(held) == count and not announced:
            announced = True
            sys.stdout.write(f"{_HELD}\n")
            sys.stdout.flush()
        for descriptor, _ in poll.poll(0.01 if len(held) < count else 1):
            held.pop(descriptor).close()


def _table(without: Workload, during: Workload) -> Table:
    columns = (
        Column("half-open"),
        Column("requests/s", ",.0f"),
        Column("ratio", ".3f"),
        Column("p50 ms", ".2f"),
        Column("p99 ms", ".2f"),
        Column("p99 / without", ".3f"),
        Column("range", ".3f"),
    )
    return Table(
        "Other clients during half-open connections", columns, [_row(each, without) for each in (without, during)]
    )


def _row(work: Workload, without: Workload) -> list[Cell]:
    rates, tails = work.ratios(without, rate), work.ratios(without, p99)
    figures = (work.median(rate), median(rates), work.median(p50), work.median(p99))
    return [work.name, *figures, median(tails), value_range(tails)]


if __name__ == "__main__":
    _hold(*map(int, sys.argv[1:]))
