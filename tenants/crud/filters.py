"""Reads ``field=value`` and ``field[operator]=value`` into typed filters on listed columns.

``ne`` also matches NULL. ``contains`` and ``starts_with`` ignore case, and ``%`` and ``_`` are literal characters.
``in`` takes comma-separated values, which therefore cannot contain a comma.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from tenants.crud.faults import query_fault
from tenants.errors import FieldError, ValidationFailed
from tenants.resources.collection import Collection
from tenants.resources.fields import Field, FieldKind
from tenants.resources.values import Value, check_text, read, read_boolean
from tenants.values.errors import BadValue

MAX_VALUES = 100  # of one `in`

_PARAMETER = re.compile(r"([^\[\]]*)(?:\[([^\[\]]*)\])?")
_SPECIAL = re.compile(r"([\\%_])")


class Operator(StrEnum):
    """As written in the brackets; equality has none."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    IN = "in"
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    IS_NULL = "is_null"


_BRACKETED = {each.value: each for each in Operator if each is not Operator.EQ}
_SAME = (Operator.EQ, Operator.NE, Operator.IS_NULL)
_ONE_OF = (*_SAME, Operator.IN)
_ORDERED = (*_ONE_OF, Operator.GT, Operator.GTE, Operator.LT, Operator.LTE)
_OPERATORS: dict[FieldKind, tuple[Operator, ...]] = {
    FieldKind.ID: _ONE_OF,
    FieldKind.REFERENCE: _ONE_OF,
    FieldKind.CHOICE: _ONE_OF,
    FieldKind.BOOLEAN: _SAME,
    FieldKind.TEXT: (*_ORDERED, Operator.CONTAINS, Operator.STARTS_WITH),
    FieldKind.INTEGER: _ORDERED,
    FieldKind.DECIMAL: _ORDERED,
    FieldKind.DATE: _ORDERED,
    FieldKind.DATETIME: _ORDERED,
}


def operators_of(kind: FieldKind) -> tuple[Operator, ...]:
    """The operators for a field of that kind."""
    return _OPERATORS[kind]


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition. ``value`` is what the operator needs: several values for ``in``, a LIKE pattern for text."""

    field: str
    operator: Operator
    value: Value | tuple[Value, ...]


def read_filter(collection: Collection, parameter: str, text: str) -> Filter:
    """The filter that one parameter describes. Raises ValidationFailed."""
    name, operator = _split(collection, parameter)
    field = collection.filterable[name]
    if operator not in operators_of(field.kind):
        raise ValidationFailed((_unknown_operator(field),))
    try:
        return Filter(name, operator, _value(field, operator, text))
    except BadValue as error:
        raise ValidationFailed((query_fault(name, error.code, error.message),)) from error


def _split(collection: Collection, parameter: str) -> tuple[str, Operator]:
    match = _PARAMETER.fullmatch(parameter)
    name = match[1] if match else ""
    if match is None or name not in collection.filterable:
        raise ValidationFailed((query_fault(name, "unknown_parameter", "Unknown parameter."),))
    operator = Operator.EQ if match[2] is None else _BRACKETED.get(match[2])
    if operator is None:
        raise ValidationFailed((_unknown_operator(collection.filterable[name]),))
    return name, operator


def _unknown_operator(field: Field) -> FieldError:
    known = ", ".join(each for each in operators_of(field.kind) if each is not Operator.EQ)
    return query_fault(field.name, "unknown_operator", f"Takes no operator, or one of: {known}.")


def _value(field: Field, operator: Operator, text: str) -> Value | tuple[Value, ...]:
    match operator:
        case Operator.IS_NULL:
            return read_boolean(text)
        case Operator.IN:
            return _values(field, text)
        case Operator.CONTAINS:
            return f"%{escape_like(check_text(text))}%"
        case Operator.STARTS_WITH:
            return f"{escape_like(check_text(text))}%"
        case _:
            return read(field, text)


def _values(field: Field, text: str) -> tuple[Value, ...]:
    parts = text.split(",")
    if len(parts) > MAX_VALUES:
        raise BadValue("too_long", f"Must have at most {MAX_VALUES} values.")
    return tuple(read(field, part) for part in parts)


def escape_like(text: str) -> str:
    """The text with every special character of LIKE escaped."""
    return _SPECIAL.sub(r"\\\1", text)
