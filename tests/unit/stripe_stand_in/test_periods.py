"""Periods are whole intervals from their anchor."""

from datetime import UTC, datetime

import pytest

from gateway.development.stripe.periods import period_at


def _at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("interval", "count", "now", "start", "end"),
    [
        ("month", 1, "2026-02-10", "2026-01-31", "2026-02-28"),
        ("month", 1, "2026-02-28", "2026-02-28", "2026-03-31"),  # back on the 31st after a short month
        ("month", 1, "2028-02-29", "2028-02-29", "2028-03-31"),
        ("month", 3, "2026-06-01", "2026-04-30", "2026-07-31"),
        ("year", 1, "2027-01-31", "2027-01-31", "2028-01-31"),
        ("week", 2, "2026-02-15", "2026-02-14", "2026-02-28"),
        ("day", 1, "2026-01-31", "2026-01-31", "2026-02-01"),
    ],
)
def test_the_period_that_contains_now(interval: str, count: int, now: str, start: str, end: str) -> None:
    assert period_at(_at("2026-01-31"), interval, count, _at(now)) == (_at(start), _at(end))
