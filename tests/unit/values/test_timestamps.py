"""RFC 3339 as other languages write it: Go and Java with nine digits, .NET with seven, a leap second, lower case."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tenants.values.errors import BadValue
from tenants.values.timestamps import Timestamp, read_timestamp

_ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_TIMES = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=_ZONES)  # noqa: DTZ001 - zones follow


def _rfc3339(time: datetime, more: str, *, lower: bool) -> str:
    """With microseconds and further digits, the offset in full."""
    text = time.isoformat(timespec="microseconds")
    whole, offset = text[:26], text[26:]
    text = f"{whole}{more}{'Z' if offset == '+00:00' else offset}"
    return text.lower() if lower else text


@given(_TIMES, st.text("0123456789", max_size=40), st.booleans())
def test_any_number_of_digits_is_read_and_cut_to_microseconds(time: datetime, more: str, lower: bool) -> None:  # noqa: FBT001 - drawn
    """DA1: never rounded, so that no value moves into the next second."""
    assert read_timestamp(_rfc3339(time, more, lower=lower)) == time


@given(_TIMES, st.text("0123456789", min_size=1, max_size=9))
def test_times_keep_their_order_when_they_are_cut(time: datetime, digits: str) -> None:
    """A filter compares what is stored with what was asked for, both cut alike."""
    text = time.strftime("%Y-%m-%dT%H:%M:%S").zfill(19)
    fraction = int(digits.ljust(6, "0")[:6])
    assert read_timestamp(f"{text}.{digits}Z") == time.replace(microsecond=fraction, tzinfo=UTC)


@given(
    st.text()
    | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]*)?([Zz]|[+ -][0-9:]*)")
)
def test_any_text_is_a_time_in_utc_or_a_bad_value(text: str) -> None:
    """DA1: no other error, and none echoes the text."""
    try:
        assert read_timestamp(text).tzinfo is UTC
    except BadValue as error:
        assert len(text) < 6 or text not in error.message  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-31T12:00:00.1234567Z", datetime(2026, 1, 31, 12, 0, 0, 123_456, UTC)),  # .NET
        ("2026-01-31T12:00:00.123456789Z", datetime(2026, 1, 31, 12, 0, 0, 123_456, UTC)),  # Go, Java
        ("2026-01-31T12:00:00.9999999Z", datetime(2026, 1, 31, 12, 0, 0, 999_999, UTC)),
        ("9999-12-31T23:59:59.9999999Z", datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)),
        ("2026-01-31t12:00:00z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00-00:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2016-12-31T15:59:60.5-08:00", datetime(2017, 1, 1, microsecond=500_000, tzinfo=UTC)),  # RFC 3339 section 5.8
        ("2026-02-28T23:59:60Z", datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_every_spelling_of_rfc_3339_is_read(text: str, time: datetime) -> None:
    """DA1: sections 5.6 and 5.7. A leap second is kept as the second after it."""
    assert read_timestamp(text) == time


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00",
        "2026-01-31T12:00Z",
        "2026-01-31 12:00:00Z",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00,5Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31T12:00:61Z",
        "2026-01-30T23:59:60Z",  # not the end of a month
        "2026-01-31T22:59:60Z",
        "2026-01-31T23:59:60+01:00",  # not in UTC
        "9999-12-31T23:59:60Z",  # the second after it is past the calendar
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00+01:60",
        "2026-01-31T12:00:00+0100",
        "2026-01-31T12:00:00+01:00:00",
        "2026-01-31T12:00:00\u0661Z",
        "2026-01-31T12:00:00Z\n",
        "0001-01-01T00:00:00+00:01",
        "now",
        "",
    ],
)
def test_what_is_no_time_of_rfc_3339_is_refused(text: str) -> None:
    """DA1."""
    with pytest.raises(BadValue) as raised:
        read_timestamp(text)
    assert (raised.value.code, "RFC 3339" in raised.value.message) == ("bad_format", True)


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00 01:00", "2026-01-31t12:00:00.1234567 00:00"])
def test_a_lost_plus_is_explained(text: str) -> None:
    """In a query ``+`` is a space; the message says what to write."""
    with pytest.raises(BadValue, match=re.escape("%2B")):
        read_timestamp(text)


@pytest.mark.parametrize("value", [1_700_000_000, "1700000000", 1.5, True, "2026-01-31"])
def test_a_model_takes_no_other_spelling(value: object) -> None:
    """Pydantic's own type takes numbers, numeric text and dates."""
    with pytest.raises(ValidationError, match="RFC 3339"):
        TypeAdapter(Timestamp).validate_python(value)
