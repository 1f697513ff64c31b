"""What a benchmark has found: tables of figures, and the targets that some of them are held against."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from rich import box
from rich.table import Table as RichTable

Cell = str | float | tuple[float, float] | None  # a pair is a range


@dataclass(frozen=True, slots=True)
class Column:
    """``spec`` is the format of its numbers."""

    name: str
    spec: str = ""

    def show(self, cell: Cell) -> str:
        """The cell as people read it."""
        if cell is None:
            return ""
        if isinstance(cell, tuple):
            return " to ".join(format(each, self.spec) for each in cell)
        return cell if isinstance(cell, str) else format(cell, self.spec)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, a cell for each column."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    def shown(self) -> list[list[str]]:
        """The rows as people read them."""
        return [[column.show(cell) for column, cell in zip(self.columns, row, strict=True)] for row in self.rows]


class Bound(StrEnum):
    """Which way a target lies."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that is to be reached."""

    figure: str
    bound: Bound
    wanted: float
    measured: float
    spec: str = ".2f"

    @property
    def reached(self) -> bool:
        """As measured, unrounded."""
        return self.measured >= self.wanted if self.bound is Bound.AT_LEAST else self.measured <= self.wanted


@dataclass(frozen=True, slots=True)
class Report:
    """Of one benchmark."""

    tables: list[Table]
    targets: list[Target] = field(default_factory=list)


def targets_table(targets: Iterable[Target]) -> Table:
    """All targets of a run, reached or not."""
    columns = (Column("figure"), Column("wanted"), Column("measured"), Column("reached"))
    rows = [
        (
            each.figure,
            f"{each.bound} {each.wanted:{each.spec}}",
            f"{each.measured:{each.spec}}",
            "yes" if each.reached else "no",
        )
        for each in targets
    ]
    return Table("Targets", columns, rows)


def to_terminal(table: Table) -> RichTable:
    """For a person at a terminal."""
    shown = RichTable(title=table.title, title_justify="left", caption=table.note or None, box=box.SIMPLE_HEAD)
    for number, column in enumerate(table.columns):
        shown.add_column(column.name, justify="right" if number else "left")
    for row in table.shown():
        shown.add_row(*row)
    return shown


def to_markdown(table: Table) -> str:
    """For ``docs/benchmarks.md``."""
    lines = [
        f"### {table.title}",
        "",
        _line(column.name for column in table.columns),
        _line("---:" if number else "---" for number, _ in enumerate(table.columns)),
        *(_line(row) for row in table.shown()),
    ]
    return "\n".join([*lines, *(["", table.note] if table.note else []), ""])


def to_json(table: Table) -> dict[str, Any]:
    """For a program: unrounded."""
    names = [column.name for column in table.columns]
    rows = [dict(zip(names, row, strict=True)) for row in table.rows]
    return {"title": table.title, "note": table.note, "rows": rows}


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
