"""The data path against the same transactions through psycopg alone: ``python -m benchmarks.data``.

Each round drives the gateway and, beside it, a bare ASGI application that runs the same SQL as the same role through
psycopg's own connections, plainly and in its pipeline mode. The ratio is to the faster of the two.
"""

import argparse
import statistics
from dataclasses import dataclass

import httpx
import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.load import request_bytes
from benchmarks.requests import Work
from benchmarks.stand import Stand, memory_megabytes, open_stand

_CONTACT = {"name": "Ada Lovelace", "email": "ada@example.com", "company": "Analytical Engines", "stage": "lead"}
_ROWS = 60
_GATEWAY, _PLAIN, _PIPELINED = "gateway", "psycopg", "psycopg, pipelined"
_TO_REACH = {"GET one": 0.80, "GET 50": 0.75}
_WIDTH = 110  # characters, also where the output goes to a file


@dataclass(frozen=True, slots=True)
class Comparison:
    """One kind of request, by each of the servers."""

    name: str
    works: dict[str, Work]

    def ratios(self) -> list[float]:
        """The gateway's rate of each round, against the faster of the yardsticks' in that round."""
        rates = {server: [result.rate for result in work.rounds] for server, work in self.works.items()}
        return [ours / max(others) for ours, *others in zip(*rates.values(), strict=True)]


def main() -> None:
    """Run the rounds interleaved, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each work in each round")
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    with open_stand() as stand:
        comparisons = _comparisons(stand)
        works = [work for each in comparisons for work in each.works.values()]
        for work in works:
            work.run(options.connections, 1.0)  # warm: caches filled, connections open, plans prepared
            work.rounds.clear()
            work.cpu.clear()
        for _ in range(options.rounds):
            for work in works:
                work.run(options.connections, options.seconds)
        console = Console(width=_WIDTH)
        console.print(_table(comparisons))
        console.print(f"memory of the gateway's worker: {memory_megabytes(works[0].server):.0f} MB")


def _comparisons(stand: Stand) -> list[Comparison]:
    servers = {
        _GATEWAY: stand.serve("gateway.app:create_app"),
        _PLAIN: stand.serve("benchmarks.direct:create_app", DIRECT_SCHEMA=stand.tenant.schema),
        _PIPELINED: stand.serve("benchmarks.direct:create_app", DIRECT_SCHEMA=stand.tenant.schema, DIRECT_PIPELINE="1"),
    }
    headers = stand.tenant.headers
    made = [_make(servers[_GATEWAY][0], headers) for _ in range(_ROWS)]
    body = orjson.dumps(_CONTACT)

    def compare(name: str, method: str, path: str, content: bytes = b"", status: int = 200) -> Comparison:
        works = {}
        for server, (url, child) in servers.items():
            request = request_bytes(url + path, headers, method, content)
            works[server] = Work(f"{name}, {server}", url, request, child, status)
        return Comparison(name, works)

    return [
        compare("GET one", "GET", f"/v1/contacts/{made[0]}"),
        compare("GET 50", "GET", "/v1/contacts?limit=50"),
        compare("POST one", "POST", "/v1/contacts", body, 201),
    ]


def _make(url: str, headers: dict[str, str]) -> str:
    answer = httpx.post(f"{url}/v1/contacts", json=_CONTACT, headers=headers).raise_for_status()
    return str(answer.json()["id"])


def _table(comparisons: list[Comparison]) -> Table:
    head = ("work", "server", "requests/s", "p50 ms", "p99 ms", "CPU µs", "ratio", "range", "to reach")
    table = Table(*head, title="one worker, one core")
    for each in comparisons:
        ratios, goal = each.ratios(), _TO_REACH.get(each.name)
        shown = (f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}", f"{goal or ''}")
        for server, work in each.works.items():
            table.add_row(each.name, server, *_figures(work), *(shown if server == _GATEWAY else ()))
    return table


def _figures(work: Work) -> tuple[str, ...]:
    return (
        f"{statistics.median(result.rate for result in work.rounds):,.0f}",
        f"{statistics.median(result.percentile(0.5) for result in work.rounds):.2f}",
        f"{statistics.median(result.percentile(0.99) for result in work.rounds):.2f}",
        f"{statistics.median(work.cpu):.0f}",
    )


if __name__ == "__main__":
    main()
