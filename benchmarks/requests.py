"""What a request costs on its whole way, against the bare server under it: ``python -m benchmarks.requests``."""

import argparse
import statistics
from dataclasses import dataclass, field

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.load import Result, request_bytes, run_load
from benchmarks.stand import Stand, cpu_seconds, memory_megabytes, open_stand
from gateway.development.processes import Child

_CONTACT = {"name": "Ada Lovelace", "email": "ada@example.com", "company": "Analytical Engines", "stage": "lead"}


@dataclass(slots=True)
class Work:
    """One kind of request, and what each round showed of it."""

    name: str
    url: str
    request: bytes
    server: Child
    status: int = 200  # of every answer
    rounds: list[Result] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  # microseconds a request

    def run(self, connections: int, seconds: float) -> None:
        """One round."""
        before = cpu_seconds(self.server)
        result = run_load(self.url, self.request, connections=connections, seconds=seconds)
        if set(result.statuses) != {self.status}:
            raise SystemExit(f"{self.name}: expected {self.status} alone, got {dict(result.statuses)}")
        self.rounds.append(result)
        self.cpu.append((cpu_seconds(self.server) - before) / sum(result.statuses.values()) * 1e6)


def main() -> None:
    """Run the rounds interleaved, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each work in each round")
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    with open_stand() as stand:
        works = _works(stand)
        for work in works:
            work.run(options.connections, 1.0)  # warm: caches filled, plans prepared
            work.rounds.clear()
            work.cpu.clear()
        for _ in range(options.rounds):
            for work in works:
                work.run(options.connections, options.seconds)
        Console().print(_table(works))
        Console().print(f"memory of the gateway's worker: {memory_megabytes(works[-1].server):.0f} MB")


def _works(stand: Stand) -> list[Work]:
    bare_url, bare = stand.serve("benchmarks.bare:create_app")
    gateway_url, gateway = stand.serve("gateway.app:create_app")
    headers = {"X-API-Key": stand.api_key}
    contacts = f"{gateway_url}/v1/contacts"
    made = httpx.post(contacts, json=_CONTACT, headers=headers).raise_for_status().json()
    for _ in range(60):
        httpx.post(contacts, json=_CONTACT, headers=headers).raise_for_status()
    targets = {
        "GET /v1/me": f"{gateway_url}/v1/me",
        "GET /v1/contacts/{id}": f"{contacts}/{made['id']}",
        "GET /v1/contacts?limit=50": f"{contacts}?limit=50",
    }
    yardstick = Work("bare ASGI", bare_url, request_bytes(f"{bare_url}/", {}), bare)
    return [yardstick, *(Work(name, url, request_bytes(url, headers), gateway) for name, url in targets.items())]


def _table(works: list[Work]) -> Table:
    table = Table("work", "requests/s", "of bare", "range", "p50 ms", "p99 ms", "CPU µs", title="one worker, one core")
    bare = [result.rate for result in works[0].rounds]
    for work in works:
        ratios = [result.rate / yardstick for result, yardstick in zip(work.rounds, bare, strict=True)]
        table.add_row(
            work.name,
            f"{statistics.median(result.rate for result in work.rounds):,.0f}",
            f"{statistics.median(ratios):.3f}",
            f"{min(ratios):.3f} to {max(ratios):.3f}",
            f"{statistics.median(result.percentile(0.5) for result in work.rounds):.2f}",
            f"{statistics.median(result.percentile(0.99) for result in work.rounds):.2f}",
            f"{statistics.median(work.cpu):.0f}",
        )
    return table


if __name__ == "__main__":
    main()
