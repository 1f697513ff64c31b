"""A field in JSON Schema: one description for bodies, responses and query parameters (OpenAPI 3.1)."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pydantic_core import to_jsonable_python

from tenants import identifiers
from tenants.resources.fields import Field, FieldKind, Number

Schema = dict[str, Any]

_DECIMAL = r"^-?[0-9]+(\.[0-9]+)?$"
_INT32 = 2**31 - 1


def value_schema(field: Field) -> Schema:
    """The schema of a value of the field, in bodies, responses and parameters."""
    return _SCHEMAS[field.kind](field)


def body_schema(field: Field) -> Schema:
    """The schema of a value to write: ``value_schema``, narrowed by the field's rule."""
    least, largest = field.bounds
    rule = field.rule
    narrowed: Schema = {"minLength": rule.min_length or None, "maxLength": field.max_length, "pattern": rule.pattern}
    if field.kind is FieldKind.INTEGER and least is not None and largest is not None:
        narrowed |= _bounds(least, largest)
    return value_schema(field) | {word: value for word, value in narrowed.items() if value is not None}


def _bounds(least: Number, largest: Number) -> Schema:
    """FastAPI's document holds doubles, which represent 2^63 exactly, but not 2^63 - 1."""
    if float(largest) != largest:
        return {"minimum": least, "exclusiveMaximum": largest + 1}
    return {"minimum": least, "maximum": largest}


def example_of(field: Field) -> object:
    """The rule's example, or a value that the field accepts. None where only the rule's pattern says which."""
    if field.rule.example is not None:
        return to_jsonable_python(field.rule.example)
    if field.kind in (FieldKind.ID, FieldKind.REFERENCE):
        return identifiers.example_of(field.prefix)
    if field.kind is FieldKind.TEXT:
        return _text(field)
    if field.kind in (FieldKind.INTEGER, FieldKind.DECIMAL):
        least, largest = field.bounds
        value = min(max(1, least or 0), 1 if largest is None else largest)
        return value if field.kind is FieldKind.INTEGER else f"{Decimal(value):f}"
    return field.choices[0] if field.choices else _EXAMPLES[field.kind]


def _text(field: Field) -> str | None:
    if field.rule.pattern is not None:
        return None
    return "Example".ljust(field.rule.min_length, ".")[: field.max_length]


def _id(field: Field) -> Schema:
    return {"type": "string", "pattern": identifiers.pattern_of(field.prefix)}


def _integer(field: Field) -> Schema:
    wide = field.maximum is not None and field.maximum > _INT32
    return {"type": "integer", "format": "int64" if wide else "int32"}


_SCHEMAS: dict[FieldKind, Callable[[Field], Schema]] = {
    FieldKind.ID: _id,
    FieldKind.REFERENCE: _id,
    FieldKind.TEXT: lambda _: {"type": "string"},
    FieldKind.CHOICE: lambda field: {"type": "string", "enum": list(field.choices)},
    FieldKind.INTEGER: _integer,
    FieldKind.DECIMAL: lambda _: {"type": "string", "pattern": _DECIMAL},
    FieldKind.BOOLEAN: lambda _: {"type": "boolean"},
    FieldKind.DATE: lambda _: {"type": "string", "format": "date"},
    FieldKind.DATETIME: lambda _: {"type": "string", "format": "date-time"},
}
_EXAMPLES: dict[FieldKind, object] = {
    FieldKind.BOOLEAN: True,
    FieldKind.DATE: "2026-01-31",
    FieldKind.DATETIME: "2026-01-31T12:00:00Z",
}
