"""A field in JSON Schema: one description for bodies, responses and query parameters (OpenAPI 3.1)."""

from collections.abc import Callable
from typing import Any

from tenants.resources.fields import Field, FieldKind, Number

Schema = dict[str, Any]

# TypeID specification 0.3: 128 bits in 26 characters of Crockford's base32.
_SUFFIX = "[0-7][0-9a-hjkmnp-tv-z]{25}"
_EXAMPLE_SUFFIX = "01kc2q7v8ze1rb9m3x5w6t0h4d"
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
    """The rule's example, or one for the kind of field."""
    if field.rule.example is not None:
        return field.rule.example
    if field.kind in (FieldKind.ID, FieldKind.REFERENCE):
        return f"{field.prefix}_{_EXAMPLE_SUFFIX}"
    return field.choices[0] if field.choices else _EXAMPLES.get(field.kind)


def _id(field: Field) -> Schema:
    return {"type": "string", "pattern": f"^{field.prefix}_{_SUFFIX}$"}


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
    FieldKind.TEXT: "text",
    FieldKind.INTEGER: 1,
    FieldKind.DECIMAL: "1",
    FieldKind.BOOLEAN: True,
    FieldKind.DATE: "2026-01-31",
    FieldKind.DATETIME: "2026-01-31T12:00:00Z",
}
