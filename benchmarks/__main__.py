"""Runs the benchmarks: ``make bench``. ``ARGS="requests floods"`` selects some, ``ARGS=--quick`` runs them briefly.

``BASE=<folder> make bench`` also measures the servers of another checkout, in the same rounds (``requests``,
``protocol`` and ``abuse``), and its code (``code``). The last table compares the figures with their targets. See
docs/benchmarks.md.
"""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

import orjson
from rich.console import Console

from benchmarks import (
    audit,
    code,
    fairness,
    floods,
    gate,
    growth,
    half_open,
    memory,
    protocol,
    proxy,
    requests,
    revocation,
    sign_in,
    streams,
    tokens,
    writes,
)
from benchmarks.abuse import measure as abuse
from benchmarks.options import Options, describe_machine, log_progress
from benchmarks.report import Report, Table, targets_table, to_json, to_markdown, to_terminal
from gateway.logs.setup import configure_logging

_WIDTH = 140  # characters, also when the output is a file
_BENCHMARKS: dict[str, Callable[[Options], Report]] = {
    "code": code.measure,
    "requests": requests.measure,
    "gate": gate.measure,
    "protocol": protocol.measure,
    "proxy": proxy.measure,
    "streams": streams.measure,
    "growth": growth.measure,
    "floods": floods.measure,
    "half_open": half_open.measure,
    "fairness": fairness.measure,
    "revocation": revocation.measure,
    "sign_in": sign_in.measure,
    "tokens": tokens.measure,
    "writes": writes.measure,
    "audit": audit.measure,
    "memory": memory.measure,
    "abuse": abuse.measure,
}


def main() -> None:
    """Run the selected benchmarks one after another and print their results."""
    configure_logging(level="WARNING", readable=True)  # migrations and httpx log at INFO
    arguments = _arguments()
    log_progress(describe_machine())
    console = Console(width=_WIDTH)
    reports: list[Report] = []
    for name in arguments.names or _BENCHMARKS:
        log_progress(f"== {name}")
        reports.append(_BENCHMARKS[name](Options(quick=arguments.quick, base=arguments.base)))
        for table in reports[-1].tables:
            console.print(to_terminal(table))
        _write(arguments, [*_tables(reports), _targets(reports)])  # after each one, since a later one may fail
    console.print(to_terminal(_targets(reports)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of: {', '.join(_BENCHMARKS)}")
    parser.add_argument("--quick", action="store_true", help="one short round, which only shows that everything works")
    parser.add_argument("--base", type=_checkout, metavar="FOLDER", help="another checkout to measure in the same run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures, unrounded")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the tables in the form of docs/benchmarks.md"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(_BENCHMARKS)
    if unknown:
        parser.error(f"unknown benchmark: {', '.join(sorted(unknown))}")
    return arguments


def _checkout(text: str) -> Path:
    folder = Path(text).resolve()
    if not (folder / "gateway").is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a checkout of this repository")
    return folder


def _tables(reports: Iterable[Report]) -> list[Table]:
    return [table for report in reports for table in report.tables]


def _targets(reports: Iterable[Report]) -> Table:
    return targets_table([target for report in reports for target in report.targets])


def _write(arguments: argparse.Namespace, tables: list[Table]) -> None:
    if arguments.json:
        document = {"machine": describe_machine(), "tables": [to_json(each) for each in tables]}
        arguments.json.write_bytes(orjson.dumps(document))
    if arguments.markdown:
        text = "\n".join([describe_machine(), "", *map(to_markdown, tables)])
        arguments.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
