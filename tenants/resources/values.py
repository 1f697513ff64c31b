"""Text into the values of a field: for filters, and for what JSON has no type of its own for (dates, decimals, ids).

Each reader takes one spelling and refuses what PostgreSQL, psycopg or Python would read in a way of their own: words
such as ``infinity`` and ``now``, Unicode digits, times without a zone, years that UTC pushes out of Python's range.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

from tenants import identifiers
from tenants.resources.fields import Field, FieldKind

Value = str | int | bool | Decimal | date | datetime | UUID

_INTEGER = re.compile(r"-?[0-9]{1,100}", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]{1,100}(\.[0-9]{1,100})?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
# RFC 3339 section 5.6, upper-case letters only; PostgreSQL keeps microseconds.
_DATETIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
# PostgreSQL has no NUL in text, UTF-8 no surrogates.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class BadValue(ValueError):
    """A value that the field cannot hold: a stable code, and a message that does not echo it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def check_text(text: str) -> str:
    """The text itself, when PostgreSQL can store it. Raises BadValue."""
    if _UNSTORABLE.search(text):
        raise BadValue("bad_character", "Must not hold a NUL or half of a surrogate pair.")
    return text


def read_date(text: str) -> date:
    """``2026-01-31``."""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass  # the 31st of February: told with every other bad spelling below
    raise BadValue("bad_format", "Must be a date, such as 2026-01-31.")


def read_datetime(text: str) -> datetime:
    """``2026-01-31T12:00:00Z``, in UTC. In a query a ``+`` of the offset is written ``%2B``."""
    try:
        if _DATETIME.fullmatch(text):
            return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # the 25th hour, or year 0 in UTC: told with every other bad spelling below
    raise BadValue("bad_format", "Must be a time with its offset from UTC, such as 2026-01-31T12:00:00Z.")


def read_boolean(text: str) -> bool:
    """``true`` or ``false``."""
    if text not in ("true", "false"):
        raise BadValue("wrong_type", "Must be true or false.")
    return text == "true"


def read_integer(field: Field, text: str) -> int:
    """A whole number that the column can hold."""
    if not _INTEGER.fullmatch(text):
        raise BadValue("wrong_type", "Must be a whole number.")
    number = int(text)
    _check_bounds(field, number)
    return number


def read_decimal(field: Field, text: str) -> Decimal:
    """A decimal that the column can hold exactly."""
    if not _DECIMAL.fullmatch(text):
        raise BadValue("wrong_type", "Must be a decimal number, such as 12.50.")
    number = Decimal(text)
    _check_bounds(field, number)
    if len(text.partition(".")[2].rstrip("0")) > field.scale:
        raise BadValue("bad_format", f"Must have at most {field.scale} digits after the point.")
    return number


def read_id(field: Field, text: str) -> UUID:
    """A typed id of the field's own type."""
    value = identifiers.read(field.prefix, text)
    if value is None:
        raise BadValue("bad_format", f"Must be an id that begins with {field.prefix}_.")
    return value


def read_choice(field: Field, text: str) -> str:
    """One of the field's choices."""
    if text not in field.choices:
        raise BadValue("not_allowed", f"Must be one of: {', '.join(field.choices)}.")
    return text


def _check_bounds(field: Field, number: int | Decimal) -> None:
    if field.minimum is not None and number < field.minimum:
        raise BadValue("too_small", f"Must be at least {field.minimum}.")
    if field.maximum is not None and number > field.maximum:
        raise BadValue("too_large", f"Must be at most {field.maximum}.")


_READERS: dict[FieldKind, Callable[[Field, str], Value]] = {
    FieldKind.ID: read_id,
    FieldKind.REFERENCE: read_id,
    FieldKind.TEXT: lambda _, text: check_text(text),
    FieldKind.CHOICE: read_choice,
    FieldKind.INTEGER: read_integer,
    FieldKind.DECIMAL: read_decimal,
    FieldKind.BOOLEAN: lambda _, text: read_boolean(text),
    FieldKind.DATE: lambda _, text: read_date(text),
    FieldKind.DATETIME: lambda _, text: read_datetime(text),
}


def read(field: Field, text: str) -> Value:
    """The value that a text spells for this field. Raises BadValue."""
    return _READERS[field.kind](field, text)


def write(field: Field, value: Value) -> str:
    """The text that ``read`` turns into this value again."""
    match value:
        case UUID():
            return identifiers.show(field.prefix, value)
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat()
        case date():
            return value.isoformat()
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)
