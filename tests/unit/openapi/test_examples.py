"""Examples made from schemas: valid, or none."""

from typing import Any

import jsonschema_rs
import pytest

from gateway.openapi.examples import NONE, Examples

_SCHEMAS: dict[str, Any] = {
    "Colour": {"enum": ["red", "green"]},
    "Node": {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "next": {"anyOf": [{"$ref": "#/components/schemas/Node"}]}},
    },
    "Code": {"type": "string", "pattern": "^[a-z]{3}$"},
}
_EXAMPLES = Examples(_SCHEMAS)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "examples": ["a", "b"]}, "a"),
        ({"type": "string", "const": "live"}, "live"),
        ({"$ref": "#/components/schemas/Colour"}, "red"),
        ({"anyOf": [{"$ref": "#/components/schemas/Code"}, {"type": "null"}]}, None),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [True, True]),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Code"}}, []),
        ({"type": "string", "minLength": 6}, "textxx"),
        ({"type": "string", "maxLength": 2}, "te"),
        ({"type": "string", "format": "date"}, "2026-01-31"),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "number", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "minimum": 0, "exclusiveMaximum": 1}, 0),
        ({"$ref": "#/components/schemas/Node"}, {"name": "text"}),
        ({"type": "object", "properties": {"code": {"$ref": "#/components/schemas/Code"}}}, {}),
        ({"type": "null"}, None),
    ],
)
def test_an_example_is_valid(schema: dict[str, Any], expected: object) -> None:
    made = _EXAMPLES.of(schema)
    assert made == expected
    within = {"components": {"schemas": _SCHEMAS}, **schema}
    assert jsonschema_rs.validator_for(within, validate_formats=True).is_valid(made)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^[a-z]{3}$"},
        {"type": "object", "required": ["code"], "properties": {"code": {"$ref": "#/components/schemas/Code"}}},
        {"type": "array", "items": {"$ref": "#/components/schemas/Code"}, "minItems": 1},
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "string", "format": "date", "maxLength": 3},
        {"$ref": "#/components/schemas/Unknown"},
        {},
    ],
)
def test_nothing_is_made_up(schema: dict[str, Any]) -> None:
    """A wrong example is worse than none."""
    assert _EXAMPLES.of(schema) is NONE
