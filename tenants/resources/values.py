"""Parses text into a field's values: for filters, and for types that JSON lacks (dates, decimals, ids).

Each parser accepts one format and rejects what PostgreSQL, psycopg or Python would interpret differently: words such as
``infinity`` and ``now``, Unicode digits, times without a zone, years outside Python's range in UTC.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

from tenants import identifiers
from tenants.resources.fields import Field, FieldKind
from tenants.values.errors import BadValue
from tenants.values.numbers import read_integer
from tenants.values.timestamps import read_timestamp

Value = str | int | bool | Decimal | date | datetime | UUID

_DECIMAL = re.compile(r"-?[0-9]{1,100}(\.[0-9]{1,100})?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
# PostgreSQL text cannot contain NUL, UTF-8 cannot contain surrogates.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def check_text(text: str) -> str:
    """Return the text if PostgreSQL can store it. Raises BadValue."""
    if _UNSTORABLE.search(text):
        raise BadValue("bad_character", "Must not contain NUL or an unpaired surrogate.")
    return text


def read_date(text: str) -> date:
    """``2026-01-31``."""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass  # for example February 31: reported below, as any other bad format
    raise BadValue("bad_format", "Must be a date, such as 2026-01-31.")


def read_boolean(text: str) -> bool:
    """``true`` or ``false``."""
    if text not in ("true", "false"):
        raise BadValue("wrong_type", "Must be true or false.")
    return text == "true"


def read_bounded(field: Field, text: str) -> int:
    """An integer within the column's bounds."""
    number = read_integer(text)
    _check_bounds(field, number)
    return number


def read_decimal(field: Field, text: str) -> Decimal:
    """A decimal that the column stores exactly."""
    if not _DECIMAL.fullmatch(text):
        raise BadValue("wrong_type", "Must be a decimal number, such as 12.50.")
    number = Decimal(text)
    _check_bounds(field, number)
    if len(text.partition(".")[2].rstrip("0")) > field.scale:
        raise BadValue("bad_format", f"Must have at most {field.scale} decimal places.")
    return number


def read_id(field: Field, text: str) -> UUID:
    """A typed id with the field's prefix."""
    value = identifiers.read(field.prefix, text)
    if value is None:
        raise BadValue("bad_format", f"Must be an id that starts with {field.prefix}_.")
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
    FieldKind.INTEGER: read_bounded,
    FieldKind.DECIMAL: read_decimal,
    FieldKind.BOOLEAN: lambda _, text: read_boolean(text),
    FieldKind.DATE: lambda _, text: read_date(text),
    FieldKind.DATETIME: lambda _, text: read_timestamp(text),
}


def read(field: Field, text: str) -> Value:
    """Parse text as a value of this field. Raises BadValue."""
    return _READERS[field.kind](field, text)


def write(field: Field, value: Value) -> str:
    """Format a value, so that ``read`` returns the same value."""
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
