"""What half-open connections cost good clients: ``python -m benchmarks.half_open``.

Rounds without and with 2,000 connections that have sent half a head, interleaved. They are held by a process of their
own, which opens another for each that the server ends: the load holds on for as long as the deadlines take.
``python -m benchmarks.half_open hold <port> <count>`` is that process.
"""

import argparse
import os
import select
import socket
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from benchmarks.load import request_bytes
from benchmarks.protocol import Measured, Server, open_servers
from gateway.development.processes import LOOPBACK, Child, Launch, wait_until
from gateway.edge.sockets import raise_descriptor_limit

_HALF = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: "
_HELD = "held"
_OPENS_WITHIN = 30.0  # seconds
_AT_ONCE = 50  # opened between two looks at those that ended


def main() -> None:
    """Run the rounds, print medians and what the connections add."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=12.0, help="of each round: longer than the deadline of a head")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--half-open", type=int, default=2_000)
    options = parser.parse_args()
    with open_servers() as servers:
        measured = {(server.name, held): Measured() for server in servers for held in (0, options.half_open)}
        for _ in range(options.rounds):
            for (name, held), kept in measured.items():
                server = next(each for each in servers if each.name == name)
                with _held(server, held):
                    kept.run(server, [request_bytes(server.url, {})], options.connections, options.seconds)
        Console().print(_table(measured))


@contextmanager
def _held(server: Server, count: int) -> Iterator[None]:
    if not count:
        yield
        return
    port = server.url.rpartition(":")[2]
    with TemporaryDirectory() as folder:
        log = Path(folder) / "holder.log"
        command = [sys.executable, "-m", "benchmarks.half_open", "hold", port, str(count)]
        holder = Child(Launch(command=command, folder=Path.cwd(), log=log, environment=dict(os.environ)))
        try:
            wait_until(lambda: _HELD in log.read_text(encoding="ascii"), holder, _OPENS_WITHIN, "the holder")
            yield
        finally:
            holder.stop()


def _hold(port: int, count: int) -> None:
    """Keep so many half-open connections until told to stop."""
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


def _table(measured: dict[tuple[str, int], Measured]) -> Table:
    title = f"good clients beside half-open connections, one core, Python {sys.version.split()[0]}"
    table = Table("protocol", "half-open", "requests/s", "of without", "p50 ms", "p99 ms", "of without", title=title)
    for (name, held), of in measured.items():
        pairs = list(zip(of.rounds, measured[name, 0].rounds, strict=True))
        table.add_row(
            name,
            f"{held:,}",
            f"{statistics.median(each.rate for each in of.rounds):,.0f}",
            f"{statistics.median(mine.rate / other.rate for mine, other in pairs):.3f}",
            f"{statistics.median(each.percentile(0.5) for each in of.rounds):.2f}",
            f"{statistics.median(each.percentile(0.99) for each in of.rounds):.2f}",
            f"{statistics.median(mine.percentile(0.99) / other.percentile(0.99) for mine, other in pairs):.3f}",
        )
    return table


if __name__ == "__main__":
    if sys.argv[1:2] == ["hold"]:
        _hold(*map(int, sys.argv[2:]))
    else:
        main()
