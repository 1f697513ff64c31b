"""Text is parsed into a value that the column can store, or rejected with a constant message."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.identifiers import show
from tenants.resources.fields import Field
from tenants.resources.registry import load_registry
from tenants.resources.values import read, write
from tenants.values.errors import BadValue
from tests.fixtures.everything import EVERYTHING

_FIELDS = load_registry(EVERYTHING)["things"].by_name

_ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    "small": st.integers(-(2**15), 2**15 - 1),
    "medium": st.integers(-(2**31), 2**31 - 1),
    "large": st.integers(-(2**63), 2**63 - 1),
    "price": st.decimals("-9999999999.99", "9999999999.99", places=2),
    "active": st.booleans(),
    "born": st.dates(),
    "seen": st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=_ZONES),  # noqa: DTZ001 - zones follow
    "colour": st.sampled_from(["red", "green"]),
    "id": st.uuids(version=4),
}


@given(st.data())
@pytest.mark.parametrize("name", _VALUES)
def test_formatting_and_parsing_preserve_every_value(name: str, data: st.DataObject) -> None:
    """A cursor contains the sort value as text, which must be parsed into the same value."""
    value = data.draw(_VALUES[name])
    assert read(_FIELDS[name], write(_FIELDS[name], value)) == value


@given(st.text())
@pytest.mark.parametrize("name", _VALUES)
def test_any_text_is_parsed_or_rejected_with_bad_value(name: str, text: str) -> None:
    """DA1: no input causes an error other than BadValue, and none is echoed."""
    try:
        read(_FIELDS[name], text)
    except BadValue as error:
        assert len(text) < 6 or text not in error.message  # noqa: PT017 - short texts are parts of any sentence


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("name", "a\0b", "bad_character"),
        ("name", "\ud800", "bad_character"),
        ("small", "32768", "too_large"),
        ("small", "-32769", "too_small"),
        ("medium", "2147483648", "too_large"),
        ("large", "9223372036854775808", "too_large"),
        ("large", "-9223372036854775809", "too_small"),
        ("large", "9" * 100, "too_large"),
        ("large", "1.5", "wrong_type"),
        ("large", "9007199254740993.0", "too_large"),
        ("large", "1e3", "wrong_type"),
        ("large", "+1", "wrong_type"),
        ("large", " 1", "wrong_type"),
        ("large", "1_0", "wrong_type"),
        ("large", "\u0661", "wrong_type"),
        ("large", "", "wrong_type"),
        ("price", "10000000000", "too_large"),
        ("price", "0.001", "bad_format"),
        ("price", "NaN", "wrong_type"),
        ("price", "Infinity", "wrong_type"),
        ("price", "1e3", "wrong_type"),
        ("price", "1.", "wrong_type"),
        ("active", "1", "wrong_type"),
        ("active", "True", "wrong_type"),
        ("born", "2026-02-29", "bad_format"),
        ("born", "0000-01-01", "bad_format"),
        ("born", "10000-01-01", "bad_format"),
        ("born", "2026-1-1", "bad_format"),
        ("born", "20260101", "bad_format"),
        ("born", "2026-W01-1", "bad_format"),
        ("born", "infinity", "bad_format"),
        ("born", "1700000000", "bad_format"),
        ("seen", "2026-01-01", "bad_format"),
        ("seen", "2026-01-01T00:00:00", "bad_format"),
        ("seen", "2026-01-01 00:00:00Z", "bad_format"),
        ("seen", "2026-01-01T24:00:00Z", "bad_format"),
        ("seen", "2026-01-01T23:59:60Z", "bad_format"),
        ("seen", "2026-01-01T00:00:00 01:00", "bad_format"),
        ("seen", "0001-01-01T00:00:00+00:01", "bad_format"),
        ("seen", "9999-12-31T23:59:59-00:01", "bad_format"),
        ("seen", "1700000000", "bad_format"),
        ("seen", "now", "bad_format"),
        ("colour", "blue", "not_allowed"),
        ("id", show("contact", UUID(int=1)), "bad_format"),
        ("id", str(UUID(int=2)), "bad_format"),
        ("id", "thing_", "bad_format"),
    ],
)
def test_values_that_no_column_stores_are_rejected(name: str, text: str, code: str) -> None:
    """DA1: numbers beyond the column, years beyond the calendar, and words that PostgreSQL accepts are 4xx."""
    with pytest.raises(BadValue) as raised:
        read(_FIELDS[name], text)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("price", "12.5000", Decimal("12.5")),
        ("price", "-0", Decimal(0)),
        ("large", "-9223372036854775808", -(2**63)),
        ("large", "-348.0", -348),
        ("born", "0001-01-01", date(1, 1, 1)),
        ("seen", "2026-01-01t00:00:00.1234567z", datetime(2026, 1, 1, microsecond=123_456, tzinfo=UTC)),
        ("seen", "2025-12-31T23:59:60Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("seen", "2026-01-01T01:00:00.5+01:00", datetime(2026, 1, 1, microsecond=500_000, tzinfo=UTC)),
        ("seen", "9999-12-31T23:59:59.999999Z", datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)),
    ],
)
def test_extreme_values_are_accepted(name: str, text: str, value: object) -> None:
    """The largest value of a column is accepted, the next one is not."""
    field: Field = _FIELDS[name]
    assert read(field, text) == value
