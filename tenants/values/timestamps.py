"""Times as RFC 3339 writes them, kept as PostgreSQL keeps them: in UTC, to the microsecond.

Digits beyond microseconds are cut off, not rounded, in values and in filters alike: a filter with the text that was
written finds the value, and no value moves into the next second. Second 60 is a leap second, and legal only where one
can be: at the end of a month in UTC (RFC 3339 section 5.7). It is kept as the second after it, which is what POSIX time
and PostgreSQL make of it.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator

from tenants.values.errors import BadValue, with_pydantic_errors

# RFC 3339 section 5.6; "T" and "Z" may be lower case. Bounds stand here because Python's parser accepts more.
_TIMESTAMP = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt](?P<minute>(?:[01][0-9]|2[0-3]):[0-5][0-9])"
    r":(?P<second>[0-5][0-9]|60)(?:\.(?P<fraction>[0-9]+))?(?P<offset>[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_LOST_PLUS = re.compile(r"[Tt][0-9:.]+ [0-9]{2}:[0-9]{2}\Z")
_LEAP = "60"

_EXPECTED = "Must be a date and time with a UTC offset (RFC 3339), such as 2026-01-31T12:00:00Z."
_WRITE_PLUS = "Has a space where the UTC offset begins. In a query, write the + of the offset as %2B."


def read_timestamp(text: str) -> datetime:
    """``2026-01-31T12:00:00Z``, in UTC. Raises BadValue."""
    match = _TIMESTAMP.fullmatch(text)
    try:
        if match:
            return _utc(**match.groupdict(default=""))
    except (ValueError, OverflowError):
        pass  # for example February 31: reported below, as any other bad format
    raise BadValue("bad_format", _WRITE_PLUS if _LOST_PLUS.search(text) else _EXPECTED)


def _utc(day: str, minute: str, second: str, fraction: str, offset: str) -> datetime:
    """Raises ValueError and OverflowError."""
    is_leap = second == _LEAP
    whole = datetime.fromisoformat(f"{day}T{minute}:{'59' if is_leap else second}{offset.upper()}").astimezone(UTC)
    if is_leap:
        whole += timedelta(seconds=1)
        if (whole.day, whole.hour, whole.minute, whole.second) != (1, 0, 0, 0):
            raise ValueError("not the end of a month in UTC")
    return whole.replace(microsecond=int(f"{fraction:0<6.6}"))


def _timestamp(value: object) -> datetime:
    # pydantic alone also takes numbers for seconds since 1970: a wrong unit, or a year, would pass unnoticed.
    if isinstance(value, datetime):
        return value
    return read_timestamp(value if isinstance(value, str) else "")


Timestamp = Annotated[datetime, BeforeValidator(with_pydantic_errors(_timestamp))]
