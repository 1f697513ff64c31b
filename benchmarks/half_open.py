"""What half-open connections cost good clients.

Rounds without and with 2,000 connections that have sent half a head, interleaved. They are held by a process of their
own, which gives way to all others and opens another for each that the server ends: the load holds on for as long as the
deadlines take. ``python -m benchmarks.half_open <port> <count>`` is that process.
"""

import os
import select
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks import canned
from benchmarks.effort import Effort, say
from benchmarks.report import Bound, Cell, Column, Report, Table, Target
from benchmarks.stand import Stand, open_stand
from benchmarks.works import Work, p50, p99, rate, spread
from gateway.development.load import request_bytes
from gateway.development.processes import LOOPBACK, Child, Launch, wait_until
from gateway.http1.sockets import raise_descriptor_limit

_COUNT = 2_000
_ROUND = 12.0  # seconds, longer than the deadline of a head: all of them end once and come again
_HALF = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: "
_HELD = "held"
_OPENS_WITHIN = 30.0  # seconds
_NICE = 19
_AT_ONCE = 50  # opened between two looks at those that ended


def measure(effort: Effort) -> Report:
    """The canned gate, asked as fast as it answers."""
    with open_stand() as stand:
        server = stand.servers.ours("canned")
        requests = [request_bytes(server.url + canned.PATH, stand.tenant.headers)]
        without, beside = Work("none", server, requests), Work(f"{_COUNT:,}", server, requests)
        without.run(effort.of(1.0, 0.2))
        for number in range(1, effort.rounds + 1):
            say(f"round {number} of {effort.rounds}, without and with {_COUNT:,}")
            without.rounds.append(without.run(effort.of(_ROUND, 0.5)))
            with _held(stand, server.url):
                beside.rounds.append(beside.run(effort.of(_ROUND, 0.5)))
    target = Target("p99 beside 2,000 half-open connections", Bound.AT_MOST, 1.05, median(beside.ratios(without, p99)))
    return Report([_table(without, beside)], [target])


@contextmanager
def _held(stand: Stand, url: str) -> Iterator[None]:
    log = stand.servers.folder / "holder.log"
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.half_open", url.rpartition(":")[2], str(_COUNT)]
    holder = Child(Launch(command=command, folder=Path.cwd(), log=log, environment=dict(os.environ)))
    try:
        wait_until(lambda: _HELD in log.read_text(encoding="ascii"), holder, _OPENS_WITHIN, "the holder")
        yield
    finally:
        holder.stop()


def _hold(port: int, count: int) -> None:
    """Keep so many half-open connections until told to stop."""
    os.nice(_NICE)
    raise_descriptor_limit()
    poll = select.epoll()
    held: dict[int, socket.socket] = {}
    told = False
    while True:
        for _ in range(min(_AT_ONCE, count - len(held))):
            connection = socket.create_connection((LOOPBACK, port))
            connection.sendall(_HALF)
            held[connection.fileno()] = connection
            poll.register(connection, select.EPOLLIN)
        if len(held) == count and not told:
            told = True
            sys.stdout.write(f"{_HELD}\n")
            sys.stdout.flush()
        for descriptor, _ in poll.poll(0.01 if len(held) < count else 1):
            held.pop(descriptor).close()


def _table(without: Work, beside: Work) -> Table:
    columns = (
        Column("half-open"),
        Column("requests/s", ",.0f"),
        Column("of without", ".3f"),
        Column("p50 ms", ".2f"),
        Column("p99 ms", ".2f"),
        Column("p99, of without", ".3f"),
        Column("range", ".3f"),
    )
    return Table(
        "Good clients beside half-open connections", columns, [_row(each, without) for each in (without, beside)]
    )


def _row(work: Work, without: Work) -> list[Cell]:
    rates, tails = work.ratios(without, rate), work.ratios(without, p99)
    shown = (work.median(rate), median(rates), work.median(p50), work.median(p99))
    return [work.name, *shown, median(tails), spread(tails)]


if __name__ == "__main__":
    _hold(*map(int, sys.argv[1:]))
