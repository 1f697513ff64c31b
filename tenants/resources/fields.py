"""A field of a resource: the value range of a column, used by filters, models and the API document.

Only column types whose values can be validated before PostgreSQL sees them are supported, so that a bad value is a 422
and never a server error.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Integer,
    Numeric,
    SmallInteger,
    String,
)
from sqlalchemy.types import TypeEngine

Number = int | Decimal
_SUPPORTED = (
    "write String(n), Text, SmallInteger, Integer, BigInteger, Numeric(precision, scale), Boolean, Date, "
    "DateTime(timezone=True), Enum(native_enum=False), or a foreign key to another resource's id"
)


class FieldKind(StrEnum):
    """How values are parsed, compared and formatted."""

    ID = "id"
    REFERENCE = "reference"
    TEXT = "text"
    CHOICE = "choice"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Validation of a field beyond its column, and its description in the API document."""

    description: str = ""
    example: object = None
    min_length: int = 0  # characters
    pattern: str | None = None  # searched with Rust's regex crate, in linear time: anchor it with ^ and $
    minimum: Number | None = None
    maximum: Number | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A column as part of the API."""

    name: str
    kind: FieldKind
    nullable: bool
    has_default: bool
    rule: Rule = Rule()
    max_length: int | None = None  # characters
    minimum: Number | None = None  # of the column
    maximum: Number | None = None
    scale: int = 0  # digits after the point
    choices: tuple[str, ...] = ()
    target: str = ""  # referenced table
    prefix: str = ""  # of its ids; set when all resources are known

    @property
    def bounds(self) -> tuple[Number | None, Number | None]:
        """Minimum and maximum: the bounds of the column, narrowed by the rule."""
        least = [bound for bound in (self.minimum, self.rule.minimum) if bound is not None]
        largest = [bound for bound in (self.maximum, self.rule.maximum) if bound is not None]
        return max(least, default=None), min(largest, default=None)


class UnsupportedColumn(ValueError):
    """A column that the CRUD service cannot serve; the message says what to write instead."""


def describe(column: Column[Any], rule: Rule) -> Field:
    """Convert a column. Raises UnsupportedColumn."""
    field = Field(
        name=column.name,
        kind=FieldKind.ID,
        nullable=bool(column.nullable),
        has_default=column.default is not None or column.server_default is not None,
        rule=rule,
    )
    if column.primary_key:
        return field
    if column.foreign_keys:
        return replace(field, kind=FieldKind.REFERENCE, target=_target(column))
    return _typed(field, column.type)


def _target(column: Column[Any]) -> str:
    if len(column.foreign_keys) > 1:
        raise UnsupportedColumn("has several foreign keys; write one")
    (key,) = column.foreign_keys
    table, _, name = key.target_fullname.rpartition(".")
    if name != "id":
        raise UnsupportedColumn(f"refers to {key.target_fullname}; a reference must refer to another resource's id")
    if key.ondelete in ("SET NULL", "SET DEFAULT"):
        # The referring row would change without a new version: a stale If-Match would still match (DA4).
        raise UnsupportedColumn(f'has ondelete="{key.ondelete}"; remove it, or write "CASCADE"')
    if key.deferrable:
        raise UnsupportedColumn("has a deferrable foreign key, which would fail after the response; remove deferrable")
    return table


def _typed(field: Field, kind: TypeEngine[Any]) -> Field:
    for known, describe_type in _DESCRIBERS:
        if isinstance(kind, known):
            return describe_type(field, kind)
    raise UnsupportedColumn(f"has the type {kind!r}; {_SUPPORTED}")


def _text(field: Field, kind: String) -> Field:
    return replace(field, kind=FieldKind.TEXT, max_length=kind.length)


def _choice(field: Field, kind: Enum) -> Field:
    if kind.native_enum:
        raise UnsupportedColumn("is a native enum, whose values cannot be removed; write Enum(..., native_enum=False)")
    return replace(field, kind=FieldKind.CHOICE, choices=tuple(kind.enums))


def _integer(field: Field, kind: Integer) -> Field:
    bits = 16 if isinstance(kind, SmallInteger) else 64 if isinstance(kind, BigInteger) else 32
    return replace(field, kind=FieldKind.INTEGER, minimum=-(2 ** (bits - 1)), maximum=2 ** (bits - 1) - 1)


def _decimal(field: Field, kind: Numeric[Any]) -> Field:
    if kind.precision is None or kind.scale is None:
        raise UnsupportedColumn("has no precision; write Numeric(precision, scale)")
    largest = (Decimal(10) ** kind.precision - 1).scaleb(-kind.scale)
    return replace(field, kind=FieldKind.DECIMAL, minimum=-largest, maximum=largest, scale=kind.scale)


def _datetime(field: Field, kind: DateTime) -> Field:
    if not kind.timezone:
        raise UnsupportedColumn("has no time zone; write DateTime(timezone=True)")
    return replace(field, kind=FieldKind.DATETIME)


def _of_kind(kind: FieldKind) -> Callable[[Field, Any], Field]:
    return lambda field, _: replace(field, kind=kind)


_DESCRIBERS: tuple[tuple[type[TypeEngine[Any]], Callable[[Field, Any], Field]], ...] = (
    (Enum, _choice),  # before String, its base class
    (String, _text),
    (Boolean, _of_kind(FieldKind.BOOLEAN)),
    (Integer, _integer),
    (Numeric, _decimal),
    (Date, _of_kind(FieldKind.DATE)),
    (DateTime, _datetime),
)
