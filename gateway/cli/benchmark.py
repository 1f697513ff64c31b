"""``tenantry benchmark``: what a deployment answers in a second, and how soon."""

import asyncio
from dataclasses import dataclass, field
from itertools import cycle
from statistics import median
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.progress import Progress

from gateway.cli.faults import CommandFailed
from gateway.cli.groups import AS_JSON
from gateway.cli.output import errors_console, print_json, print_rows, progress_bar
from gateway.development.load import LoadFailed, Result, request_bytes, run_load

app = typer.Typer()

_FLOOR = "/livez"  # nothing is asked and nobody is recognised: the server itself, and the way there
_DEFAULT_PATHS = [_FLOOR, "/v1/me"]
_WARM_UP = 0.5  # seconds: caches fill, connections open
_COLUMNS = ("path", "requests/s", "of the first", "range", "p50 ms", "p95 ms", "p99 ms", "worst ms", "answers")
_GOOD = range(200, 400)
_TOO_MANY = 429


@dataclass(slots=True)
class Work:
    """One path, and what each round showed of it."""

    path: str
    request: bytes
    rounds: list[Result] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        return [each.rate for each in self.rounds]

    def statuses(self) -> dict[int, int]:
        """How many answers of each status."""
        total: dict[int, int] = {}
        for each in self.rounds:
            for status, count in each.statuses.items():
                total[status] = total.get(status, 0) + count
        return dict(sorted(total.items()))

    def together(self) -> Result:
        """All rounds as one."""
        total = Result(sum(each.seconds for each in self.rounds))
        for each in self.rounds:
            total.latencies.extend(each.latencies)
        return total


@app.command()
def benchmark(
    *,
    url: Annotated[str, typer.Option(help="Where the deployment is reached, such as https://api.example.com.")],
    key: Annotated[
        str, typer.Option(envvar="TENANTRY_BENCHMARK_KEY", help="An API key; a plan with wide windows is worth having.")
    ],
    path: Annotated[
        list[str] | None, typer.Option(help="GET this; may be repeated, the first is what others are compared with.")
    ] = None,
    connections: Annotated[int, typer.Option(min=1, max=1000, help="Kept alive, one request at a time on each.")] = 16,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="Of each path in each round.")] = 3.0,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Paths take turns, so that a slow moment hits all.")] = 5,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Ask a deployment as fast as it answers, path by path in turn; exit 1 when not every answer was good.

    The key is better given in TENANTRY_BENCHMARK_KEY: a command line can be read by others on this machine.
    """
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise CommandFailed("validation_failed", "--url must be an address such as https://api.example.com.")
    works = [_work(url, each, key) for each in path or _DEFAULT_PATHS]
    try:
        with progress_bar() as bar:
            asyncio.run(_run(url, works, rounds, connections, seconds, bar))
    except LoadFailed as error:
        raise CommandFailed("unavailable", str(error)) from error
    _show(works, as_json=as_json)
    if not all(status in _GOOD for work in works for status in work.statuses()):
        raise typer.Exit(1)


def _work(url: str, path: str, key: str) -> Work:
    headers = {"User-Agent": "tenantry-benchmark", "Accept": "*/*"}
    if path != _FLOOR:
        headers["X-API-Key"] = key
    return Work(path, request_bytes(url.rstrip("/") + path, headers))


async def _run(  # noqa: PLR0917 - the options of one command
    url: str, works: list[Work], rounds: int, connections: int, seconds: float, bar: Progress
) -> None:
    task = bar.add_task("measuring", total=rounds * len(works))
    for work in works:
        await run_load(url, cycle([work.request]), connections=connections, seconds=_WARM_UP)
    for _ in range(rounds):
        for work in works:
            result = await run_load(url, cycle([work.request]), connections=connections, seconds=seconds)
            work.rounds.append(result)
            bar.advance(task)


def _show(works: list[Work], *, as_json: bool) -> None:
    figures = [_figures(work, works[0]) for work in works]
    if as_json:
        print_json({"works": figures})
    else:
        print_rows(_COLUMNS, ([*_row(each)] for each in figures))
    refused = sum(work.statuses().get(_TOO_MANY, 0) for work in works)
    if refused and not as_json:
        errors_console().print(f"{refused} answers were 429: the plan's limits were measured, not the gate.")


def _figures(work: Work, first: Work) -> dict[str, Any]:
    together = work.together()
    ratios = [own / other if other else 0.0 for own, other in zip(work.rates, first.rates, strict=True)]
    return {
        "path": work.path,
        "requests_per_second": round(median(work.rates), 1),
        "ratio": round(median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "p50_ms": round(together.percentile(0.5), 3),
        "p95_ms": round(together.percentile(0.95), 3),
        "p99_ms": round(together.percentile(0.99), 3),
        "worst_ms": round(together.percentile(1.0), 3),
        "statuses": {str(status): count for status, count in work.statuses().items()},
    }


def _row(figures: dict[str, Any]) -> tuple[str, ...]:
    low, high = figures["ratio_range"]
    answers = " ".join(f"{status}:{count}" for status, count in figures["statuses"].items())
    plain = ("ratio", "p50_ms", "p95_ms", "p99_ms", "worst_ms")
    ratio, *times = (str(figures[name]) for name in plain)
    return figures["path"], f"{figures['requests_per_second']:,.0f}", ratio, f"{low} to {high}", *times, answers
