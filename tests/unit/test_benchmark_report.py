"""Rendering of benchmark results."""

import pytest

from benchmarks.report import Bound, Column, Table, Target, targets_table, to_json, to_markdown

_TABLE = Table(
    "Workload", (Column("name"), Column("rate", ",.0f"), Column("range", ".2f")), [["a", 1234.5, (0.5, 1.0)]]
)


def test_tables_are_rounded_in_markdown_and_exact_in_json() -> None:
    assert "| a | 1,234 | 0.50 to 1.00 |" in to_markdown(_TABLE)
    assert to_json(_TABLE)["rows"] == [{"name": "a", "rate": 1234.5, "range": (0.5, 1.0)}]


@pytest.mark.parametrize(
    ("bound", "measured", "met"),
    [
        (Bound.AT_LEAST, 0.70, "yes"),
        (Bound.AT_LEAST, 0.699, "no"),
        (Bound.AT_MOST, 0.70, "yes"),
        (Bound.AT_MOST, 0.701, "no"),
    ],
)
def test_a_target_is_compared_with_the_unrounded_figure(bound: Bound, measured: float, met: str) -> None:
    (row,) = targets_table([Target("figure", bound, 0.70, measured)]).formatted()
    assert row == ["figure", f"{bound} 0.70", "0.70", met]
