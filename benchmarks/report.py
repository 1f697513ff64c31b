"""The results of a benchmark: tables of figures, and targets for some of them."""

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

    def format(self, cell: Cell) -> str:
        """The cell as text, rounded."""
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

    def formatted(self) -> list[list[str]]:
        """The rows as text."""
        return [[column.format(cell) for column, cell in zip(self.columns, row, strict=True)] for row in self.rows]


class Bound(StrEnum):
    """The direction of a target."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True, slots=True)
class Target:
    """A required bound on a figure."""

    figure: str
    bound: Bound
    required: float
    measured: float
    spec: str = ".2f"

    @property
    def met(self) -> bool:
        """By the unrounded figure."""
        return self.measured >= self.required if self.bound is Bound.AT_LEAST else self.measured <= self.required


@dataclass(frozen=True, slots=True)
class Report:
    """The results of one benchmark."""

    tables: list[Table]
    targets: list[Target] = field(default_factory=list)


def targets_table(targets: Iterable[Target]) -> Table:
    """All targets of a run."""
    columns = (Column("figure"), Column("required"), Column("measured"), Column("met"))
    rows = [
        (
            each.figure,
            f"{each.bound} {each.required:{each.spec}}",
            f"{each.measured:{each.spec}}",
            "yes" if each.met else "no",
        )
        for each in targets
    ]
    return Table("Targets", columns, rows)


def to_terminal(table: Table) -> RichTable:
    """Render for a terminal."""
    rendered = RichTable(title=table.title, title_justify="left", caption=table.note or None, box=box.SIMPLE_HEAD)
    for number, column in enumerate(table.columns):
        rendered.add_column(column.name, justify="right" if number else "left")
    for row in table.formatted():
        rendered.add_row(*row)
    return rendered


def to_markdown(table: Table) -> str:
    """Render for ``docs/benchmarks.md``."""
    lines = [
        f"### {table.title}",
        "",
        _line(column.name for column in table.columns),
        _line("---:" if number else "---" for number, _ in enumerate(table.columns)),
        *(_line(row) for row in table.formatted()),
    ]
    return "\n".join([*lines, *(["", table.note] if table.note else []), ""])


def to_json(table: Table) -> dict[str, Any]:
    """Render for a program, unrounded."""
    names = [column.name for column in table.columns]
    rows = [dict(zip(names, row, strict=True)) for row in table.rows]
    return {"title": table.title, "note": table.note, "rows": rows}


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
