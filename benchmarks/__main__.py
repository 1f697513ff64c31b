"""Every benchmark in one go: ``make bench``. ``ARGS="requests floods"`` runs only those, ``ARGS=--quick`` briefly.

The last table says which of the figures that are to be reached are reached. See docs/benchmarks.md.
"""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

import orjson
from rich.console import Console

from benchmarks import fairness, floods, gate, growth, half_open, protocol, requests, revocation
from benchmarks.effort import Effort, say
from benchmarks.machine import describe
from benchmarks.report import Report, Table, targets_table, to_json, to_markdown, to_terminal
from gateway.logs.setup import configure_logging

_WIDTH = 140  # characters, also where the output goes to a file
_ALL: dict[str, Callable[[Effort], Report]] = {
    "requests": requests.measure,
    "gate": gate.measure,
    "protocol": protocol.measure,
    "growth": growth.measure,
    "floods": floods.measure,
    "half_open": half_open.measure,
    "fairness": fairness.measure,
    "revocation": revocation.measure,
}


def main() -> None:
    """Run them one after another, and show what they found."""
    configure_logging(level="WARNING", readable=True)  # what migrations and httpx tell of themselves is no result
    options = _options()
    say(describe())
    console = Console(width=_WIDTH)
    found: list[Report] = []
    for name in options.names or _ALL:
        say(f"== {name}")
        found.append(_ALL[name](Effort(quick=options.quick)))
        for table in found[-1].tables:
            console.print(to_terminal(table))
        _write(options, [*_tables(found), _targets(found)])  # each time: a later one may fail
    console.print(to_terminal(_targets(found)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of: {', '.join(_ALL)}")
    parser.add_argument("--quick", action="store_true", help="one short round: shows only that everything still works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures, unrounded")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables as docs/benchmarks.md has them")
    options = parser.parse_args()
    unknown = set(options.names) - set(_ALL)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    return options


def _tables(found: Iterable[Report]) -> list[Table]:
    return [table for report in found for table in report.tables]


def _targets(found: Iterable[Report]) -> Table:
    return targets_table([target for report in found for target in report.targets])


def _write(options: argparse.Namespace, tables: list[Table]) -> None:
    if options.json:
        options.json.write_bytes(orjson.dumps({"machine": describe(), "tables": [to_json(each) for each in tables]}))
    if options.markdown:
        options.markdown.write_text("\n".join([describe(), "", *map(to_markdown, tables)]), encoding="utf-8")


if __name__ == "__main__":
    main()
