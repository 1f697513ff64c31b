"""``tenantry benchmark``: throughput and latency of a deployment."""

import asyncio
from dataclasses import dataclass, field
from itertools import cycle
from statistics import median
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.progress import Progress

from gateway.cli.command_group import AS_JSON
from gateway.cli.output import CommandFailed, errors_console, print_json, print_rows, progress_bar
from gateway.development.load import LoadFailed, Result, request_bytes, run_load

app = typer.Typer()

_BASELINE = "/livez"  # without authentication and database: the server itself and the network
_WARM_UP = 0.5  # seconds: caches fill, connections open
_COLUMNS = ("path", "requests/s", "of the first", "range", "p50 ms", "p95 ms", "p99 ms", "worst ms", "answers")
_GOOD = range(200, 400)
_TOO_MANY = 429


@dataclass(slots=True)
class PathResult:
    """One path, with the result of each round."""

    path: str
    request: bytes
    rounds: list[Result] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        return [each.rate for each in self.rounds]

    def statuses(self) -> dict[int, int]:
        """The number of responses by status."""
        total: dict[int, int] = {}
        for each in self.rounds:
            for status, count in each.statuses.items():
                total[status] = total.get(status, 0) + count
        return dict(sorted(total.items()))

    def combined(self) -> Result:
        """All rounds combined."""
        total = Result(sum(each.seconds for each in self.rounds))
        for each in self.rounds:
            total.latencies.extend(each.latencies)
        return total


@app.command()
def benchmark(
    *,
    url: Annotated[str, typer.Option(help="Base URL of the deployment, such as https://api.example.com.")],
    key: Annotated[
        str, typer.Option(envvar="TENANTRY_BENCHMARK_KEY", help="An API key, of a plan whose limits are not reached.")
    ],
    path: Annotated[
        list[str] | None,
        typer.Option(help="Path to GET, such as /v1/contacts?limit=1; can be repeated. Compared with /livez."),
    ] = None,
    connections: Annotated[int, typer.Option(min=1, max=1000, help="Keep-alive connections.")] = 16,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="Duration of each path in each round.")] = 3.0,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds, in which the paths take turns.")] = 5,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Send requests as fast as they are answered, path by path. Exit 1 when a response is not 2xx or 3xx.

    Give the key in TENANTRY_BENCHMARK_KEY: other users of this machine can read a command line.
    """
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise CommandFailed("validation_failed", "--url must be an address such as https://api.example.com.")
    results = [_path_result(url, each, key) for each in (_BASELINE, *(path or ()))]
    try:
        with progress_bar() as bar:
            asyncio.run(_run(url, results, rounds, connections, seconds, bar))
    except LoadFailed as error:
        raise CommandFailed("unavailable", str(error)) from error
    _show(results, as_json=as_json)
    if not all(status in _GOOD for measured in results for status in measured.statuses()):
        raise typer.Exit(1)


def _path_result(url: str, path: str, key: str) -> PathResult:
    headers = {"User-Agent": "tenantry-benchmark", "Accept": "*/*"}
    if path != _BASELINE:
        headers["X-API-Key"] = key
    return PathResult(path, request_bytes(url.rstrip("/") + path, headers))


async def _run(  # noqa: PLR0917 - the options of one command
    url: str, results: list[PathResult], rounds: int, connections: int, seconds: float, bar: Progress
) -> None:
    task = bar.add_task("measuring", total=rounds * len(results))
    for measured in results:
        await run_load(url, cycle([measured.request]), connections=connections, seconds=_WARM_UP)
    for _ in range(rounds):
        for measured in results:
            result = await run_load(url, cycle([measured.request]), connections=connections, seconds=seconds)
            measured.rounds.append(result)
            bar.advance(task)


def _show(results: list[PathResult], *, as_json: bool) -> None:
    figures = [_figures(measured, results[0]) for measured in results]
    if as_json:
        print_json({"results": figures})
    else:
        print_rows(_COLUMNS, ([*_row(each)] for each in figures))
    refused = sum(measured.statuses().get(_TOO_MANY, 0) for measured in results)
    if refused and not as_json:
        errors_console().print(f"{refused} responses were 429: this measured rate limits, not the gateway.")


def _figures(measured: PathResult, first: PathResult) -> dict[str, Any]:
    combined = measured.combined()
    ratios = [own / other if other else 0.0 for own, other in zip(measured.rates, first.rates, strict=True)]
    return {
        "path": measured.path,
        "requests_per_second": round(median(measured.rates), 1),
        "ratio": round(median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "p50_ms": round(combined.percentile(0.5), 3),
        "p95_ms": round(combined.percentile(0.95), 3),
        "p99_ms": round(combined.percentile(0.99), 3),
        "worst_ms": round(combined.percentile(1.0), 3),
        "statuses": {str(status): count for status, count in measured.statuses().items()},
    }


def _row(figures: dict[str, Any]) -> tuple[str, ...]:
    low, high = figures["ratio_range"]
    answers = " ".join(f"{status}:{count}" for status, count in figures["statuses"].items())
    plain = ("ratio", "p50_ms", "p95_ms", "p99_ms", "worst_ms")
    ratio, *times = (str(figures[name]) for name in plain)
    return figures["path"], f"{figures['requests_per_second']:,.0f}", ratio, f"{low} to {high}", *times, answers
