"""What our protocol costs beside uvicorn's own, under one bare application: ``python -m benchmarks.protocol``.

A server with each on the first core, the load on the second, rounds interleaved. Clients repeat themselves, and so the
header lines of the last request are remembered; "one line another each time" is what it costs where they do not.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from benchmarks.load import Result, request_bytes, run_load
from benchmarks.stand import OTHER_CORE, SERVER_CORE, cpu_seconds
from gateway.development.processes import LOOPBACK, Child, Launch, free_port, wait_until

_STARTS_WITHIN = 20.0  # seconds
_CONTACT = "/v1/contacts/con_01h455vb4pex5vsknk084sn02q?fields=name"
_HEADERS = {
    "X-API-Key": "tn_test_0123456789abcdefghijABCDEFGHIJ0123456789",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate, br",
    "Accept-Language": "en-US,en;q=0.9",
    "Cache-Control": "no-cache",
    "Connection": "keep-alive",
    "Origin": "https://app.example.com",
    "Referer": "https://app.example.com/contacts",
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
}


@dataclass(frozen=True, slots=True)
class Server:
    """One of the two."""

    name: str
    url: str
    child: Child


@dataclass(slots=True)
class Measured:
    """One kind of work at one server, round after round."""

    rounds: list[Result] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  # microseconds a request

    def run(self, server: Server, requests: Sequence[bytes], connections: int, seconds: float) -> None:
        """One more round."""
        before = cpu_seconds(server.child)
        result = run_load(server.url, requests, connections=connections, seconds=seconds)
        if set(result.statuses) != {200}:
            raise SystemExit(f"{server.name}: expected 200 alone, got {dict(result.statuses)}")
        self.rounds.append(result)
        self.cpu.append((cpu_seconds(server.child) - before) / sum(result.statuses.values()) * 1e6)


def main() -> None:
    """Run the rounds, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each work in each round")
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    with open_servers() as servers:
        works = _works(servers[0].url)
        measured = {(work, server.name): Measured() for work in works for server in servers}
        for number in range(options.rounds + 1):
            for work, requests in works.items():
                for server in servers:
                    kept = measured[work, server.name] if number else Measured()  # the first round warms
                    kept.run(server, requests, options.connections, options.seconds if number else 0.5)
        Console().print(_table(list(works), measured))


@contextmanager
def open_servers() -> Iterator[list[Server]]:
    """A server with each protocol; the load, which is this process, on the other core."""
    os.sched_setaffinity(0, {OTHER_CORE})
    with TemporaryDirectory() as folder, ExitStack() as stack:
        yield [_serve(name, Path(folder), stack) for name in ("uvicorn", "ours")]


def _serve(name: str, folder: Path, stack: ExitStack) -> Server:
    port = free_port()
    command = ["taskset", "-c", str(SERVER_CORE), sys.executable, "-m", "benchmarks.protocol_server", name, str(port)]
    log = folder / f"{name}.log"
    child = Child(Launch(command=command, folder=Path.cwd(), log=log, environment=dict(os.environ)))
    stack.callback(child.stop)
    server = Server(name, f"http://{LOOPBACK}:{port}", child)
    wait_until(lambda: _answers(server), child, _STARTS_WITHIN, name)
    return server


def _answers(server: Server) -> bool:
    try:
        return run_load(server.url, request_bytes(server.url, {}), connections=1, seconds=0.01).rate > 0
    except ConnectionRefusedError:
        return False


def _works(url: str) -> dict[str, list[bytes]]:
    contact = f"{url}{_CONTACT}"
    traced = [_HEADERS | {"Traceparent": f"00-{number:032x}-{number:016x}-01"} for number in range(5_003)]
    body = b'{"note": "' + b"a" * 488 + b'"}'
    return {
        "GET as the load generator sends it": [request_bytes(f"{url}/", {})],
        "GET with 12 header lines": [request_bytes(contact, _HEADERS)],
        "GET, one line another each time": [request_bytes(contact, each) for each in traced],
        "answer with 10 headers": [request_bytes(f"{url}/ten", {})],
        "POST of 500 bytes": [request_bytes(f"{url}/", {"X-API-Key": _HEADERS["X-API-Key"]}, "POST", body)],
    }


def _table(works: list[str], measured: dict[tuple[str, str], Measured]) -> Table:
    title = f"one core, Python {sys.version.split()[0]}"
    table = Table("work", "protocol", "requests/s", "of uvicorn's", "range", "CPU µs", "p99 ms", title=title)
    for work in works:
        yardstick = measured[work, "uvicorn"]
        for name in ("uvicorn", "ours"):
            of = measured[work, name]
            ratios = [mine.rate / other.rate for mine, other in zip(of.rounds, yardstick.rounds, strict=True)]
            table.add_row(
                work if name == "uvicorn" else "",
                name,
                f"{statistics.median(each.rate for each in of.rounds):,.0f}",
                f"{statistics.median(ratios):.2f}",
                f"{min(ratios):.2f} to {max(ratios):.2f}",
                f"{statistics.median(of.cpu):.1f}",
                f"{statistics.median(each.percentile(0.99) for each in of.rounds):.2f}",
            )
    return table


if __name__ == "__main__":
    main()
