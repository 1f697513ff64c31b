"""Ranges of a usage query: whole UTC buckets, and a bounded number of them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from billing.usage.query import Granularity, Period
from tenants.errors import ValidationFailed

_NOW = datetime(2026, 3, 5, 14, 37, 12, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("granularity", "since", "until"),
    [
        (Granularity.MINUTE, datetime(2026, 3, 5, 13, 38, tzinfo=UTC), datetime(2026, 3, 5, 14, 38, tzinfo=UTC)),
        (Granularity.HOUR, datetime(2026, 3, 4, 15, tzinfo=UTC), datetime(2026, 3, 5, 15, tzinfo=UTC)),
        (Granularity.DAY, datetime(2026, 2, 4, tzinfo=UTC), datetime(2026, 3, 6, tzinfo=UTC)),
    ],
)
def test_without_bounds_a_query_covers_the_latest_buckets(
    granularity: Granularity, since: datetime, until: datetime
) -> None:
    assert Period.of(None, None, granularity, _NOW) == Period(since, until, granularity)


def test_buckets_are_whole() -> None:
    asked = Period.of(_NOW, _NOW + timedelta(minutes=30), Granularity.HOUR, _NOW)
    assert (asked.since.hour, asked.until.hour) == (14, 16)
    exact = datetime(2026, 3, 5, tzinfo=UTC)
    assert Period.of(exact, exact + timedelta(days=1), Granularity.DAY, _NOW).until == exact + timedelta(days=1)


def test_bounds_in_another_time_zone_are_converted() -> None:
    there = datetime(2026, 3, 5, 1, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    asked = Period.of(there, there + timedelta(hours=1), Granularity.DAY, _NOW)
    assert asked.since == datetime(2026, 3, 4, tzinfo=UTC)
    assert asked.since.tzinfo is UTC


@pytest.mark.parametrize(
    ("granularity", "days"), [(Granularity.MINUTE, 1), (Granularity.HOUR, 31), (Granularity.DAY, 366)]
)
def test_a_range_is_bounded_by_its_granularity(granularity: Granularity, days: int) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert Period.of(start, start + timedelta(days=days), granularity, _NOW).since == start
    with pytest.raises(ValidationFailed) as refused:
        Period.of(start, start + timedelta(days=days, seconds=1), granularity, _NOW)
    assert [(each.pointer, each.code) for each in refused.value.errors] == [("/query/from", "range_too_long")]


@pytest.mark.parametrize(
    ("since", "until", "pointer"),
    [
        (_NOW, _NOW, "/query/from"),
        (_NOW, _NOW - timedelta(days=1), "/query/from"),
        (_NOW + timedelta(days=2), None, "/query/from"),
        (datetime(1, 1, 1, tzinfo=UTC), _NOW, "/query/from"),
        (_NOW, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), "/query/to"),
        (None, datetime(1, 1, 1, tzinfo=UTC), "/query/to"),
    ],
)
def test_an_invalid_range_is_refused(since: datetime | None, until: datetime | None, pointer: str) -> None:
    for granularity in Granularity:
        with pytest.raises(ValidationFailed) as refused:
            Period.of(since, until, granularity, _NOW)
        assert [(each.pointer, each.code) for each in refused.value.errors] == [(pointer, "bad_range")]
