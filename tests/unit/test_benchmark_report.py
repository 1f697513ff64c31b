"""What the benchmarks found, as it is shown."""

import pytest

from benchmarks.report import Bound, Column, Table, Target, targets_table, to_json, to_markdown

_TABLE = Table("Work", (Column("name"), Column("rate", ",.0f"), Column("range", ".2f")), [["a", 1234.5, (0.5, 1.0)]])


def test_a_table_is_rounded_for_people_and_not_for_programs() -> None:
    assert "| a | 1,234 | 0.50 to 1.00 |" in to_markdown(_TABLE)
    assert to_json(_TABLE)["rows"] == [{"name": "a", "rate": 1234.5, "range": (0.5, 1.0)}]


@pytest.mark.parametrize(
    ("bound", "measured", "reached"),
    [
        (Bound.AT_LEAST, 0.70, "yes"),
        (Bound.AT_LEAST, 0.699, "no"),
        (Bound.AT_MOST, 0.70, "yes"),
        (Bound.AT_MOST, 0.701, "no"),
    ],
)
def test_a_target_is_reached_or_not_before_rounding(bound: Bound, measured: float, reached: str) -> None:
    (row,) = targets_table([Target("figure", bound, 0.70, measured)]).shown()
    assert row == ["figure", f"{bound} 0.70", "0.70", reached]
