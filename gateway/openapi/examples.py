"""Examples of bodies, made from their schemas: an object's example is the examples of its properties.

A value that its schema would refuse is never made up: where a schema has a pattern and no example, the property is left
out, or the whole example if the property is required.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

Schema = Mapping[str, Any]

NONE = object()  # no example can be made; None is the example null
_REFERENCE = "#/components/schemas/"
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "email": "ada@example.com",
    "uuid": "01890a5d-ac96-774b-bcce-b302099a8057",
}
_TEXT = "text"


class Examples:
    """Makes examples for the schemas of one document, whose components are ``schemas``."""

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self._schemas = schemas
        self._open: list[str] = []  # references that are being followed: a schema may contain itself

    def of(self, schema: Schema) -> Any:
        """A valid value, or NONE."""
        if "example" in schema:
            return schema["example"]
        if schema.get("examples"):
            return schema["examples"][0]
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        if "$ref" in schema:
            return self._referenced(str(schema["$ref"]))
        alternatives = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        return self._first(alternatives) if alternatives else self._typed(schema)

    def _referenced(self, reference: str) -> Any:
        name = reference.removeprefix(_REFERENCE)
        if name not in self._schemas or name in self._open:
            return NONE
        self._open.append(name)
        try:
            return self.of(self._schemas[name])
        finally:
            self._open.pop()

    def _first(self, alternatives: list[Schema]) -> Any:
        return next((found for each in alternatives if (found := self.of(each)) is not NONE), NONE)

    def _typed(self, schema: Schema) -> Any:
        make = _MAKERS.get(str(schema.get("type")))
        return NONE if make is None else make(self, schema)

    def object(self, schema: Schema) -> Any:
        """Every property that has an example. NONE when a required one has none."""
        properties = cast("Mapping[str, Schema]", schema.get("properties", {}))
        found = {name: self.of(each) for name, each in properties.items()}
        missing = [name for name in schema.get("required", ()) if found.get(name, NONE) is NONE]
        return NONE if missing else {name: value for name, value in found.items() if value is not NONE}

    def array(self, schema: Schema) -> Any:
        """One item."""
        item = self.of(schema.get("items", {}))
        count = max(1, schema.get("minItems", 1))
        if item is NONE or (count > 1 and schema.get("uniqueItems")):
            return [] if not schema.get("minItems") else NONE
        return [item] * count


def _string(_examples: Examples, schema: Schema) -> Any:
    if "pattern" in schema:
        return NONE
    least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
    if "format" not in schema:
        return _TEXT.ljust(least, "x") if most >= len(_TEXT) else _TEXT[:most]
    text = _FORMATS.get(str(schema["format"]), "")
    return text if text and least <= len(text) <= most else NONE


def _number(_examples: Examples, schema: Schema) -> Any:
    least = schema.get("minimum", schema.get("exclusiveMinimum", -math.inf) + 1)
    most = schema.get("maximum", schema.get("exclusiveMaximum", math.inf) - 1)
    value = min(max(1, least), most)
    return NONE if value < least or "multipleOf" in schema else value


_MAKERS: dict[str, Callable[[Examples, Schema], Any]] = {
    "object": Examples.object,
    "array": Examples.array,
    "string": _string,
    "integer": _number,
    "number": _number,
    "boolean": lambda _examples, _schema: True,
    "null": lambda _examples, _schema: None,
}
