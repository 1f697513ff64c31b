"""pydantic models of a resource, made from its columns: what may be sent, and what a response looks like.

The models of bodies check every value as its column would, so that PostgreSQL is never asked to store what it cannot.
The models of responses only describe: rows are rendered to JSON without them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    PlainValidator,
    WithJsonSchema,
    create_model,
)
from pydantic import Field as ModelField

from gateway.data.schemas import body_schema, example_of, value_schema
from tenants.resources import values
from tenants.resources.collection import Collection
from tenants.resources.fields import Field, FieldKind
from tenants.resources.resource import Resource
from tenants.values.errors import BadValue, with_pydantic_errors
from tenants.values.numbers import WHOLE

_CLOSED = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Models:
    """The models of one resource."""

    create: type[BaseModel]
    update: type[BaseModel]
    response: type[BaseModel]
    page: type[BaseModel]


def models_of(collection: Collection) -> Models:
    """``ContactCreate``, ``ContactUpdate``, ``Contact`` and ``ContactPage`` of the OpenAPI document."""
    name = model_name(collection.resource)
    create: dict[str, Any] = {f.name: _written(f, needed=f.name in collection.required) for f in collection.writable}
    update: dict[str, Any] = {f.name: _written(f, needed=False) for f in collection.writable}
    returned: dict[str, Any] = {field.name: _returned(field) for field in collection.fields}
    response = create_model(name, __doc__=collection.resource.description or None, **returned)
    return Models(
        create_model(f"{name}Create", __config__=_CLOSED, **create),
        create_model(f"{name}Update", __config__=_CLOSED, **update),
        response,
        _page_of(name, response),
    )


def model_name(resource: Resource) -> str:
    """The name of a resource's own schema in the OpenAPI document."""
    return "".join(part.capitalize() for part in resource.singular.split("_"))


def sent_values(body: BaseModel) -> dict[str, object]:
    """The values that the caller sent, by column. Columns that were left out are absent, and stay as they are."""
    return {name: getattr(body, name) for name in body.model_fields_set}


def _written(field: Field, *, needed: bool) -> tuple[Any, Any]:
    typed: Any = _TYPES[field.kind](field)
    kind: Any = Annotated[typed, WithJsonSchema(body_schema(field))]
    about: dict[str, Any] = {"description": field.rule.description or None, "examples": [example_of(field)]}
    if not needed:
        about["default_factory"] = _left_out  # a documented default would be the model's, not the database's
    return (kind | None if field.nullable else kind), ModelField(**about)


def _returned(field: Field) -> tuple[Any, Any]:
    kind = Annotated[Any, WithJsonSchema(_response_schema(field))]
    return kind, ModelField(description=field.rule.description or None, examples=[example_of(field)])


def _response_schema(field: Field) -> dict[str, Any]:
    schema = value_schema(field)
    return {"anyOf": [schema, {"type": "null"}]} if field.nullable else schema


def _page_of(name: str, item: type[BaseModel]) -> type[BaseModel]:
    rows: Any = list[item]  # type: ignore[valid-type]  # made a line ago
    fields: dict[str, Any] = {
        "data": (rows, ...),
        "has_more": (bool, ModelField(description="Whether there is a next page.")),
        "next_cursor": (str | None, ModelField(description="The `cursor` of the next page.")),
    }
    return create_model(f"{name}Page", **fields)


def _left_out() -> None:
    """Default of a value that was not sent; never read, since the field is not in ``model_fields_set``."""


# Values. JSON's own types are validated strictly: no "1" for 1, no 1 for true.


def _text(field: Field) -> Any:
    bounds = ModelField(
        strict=True, min_length=field.rule.min_length, max_length=field.max_length, pattern=field.rule.pattern
    )
    return Annotated[str, bounds, AfterValidator(with_pydantic_errors(values.check_text))]


def _integer(field: Field) -> Any:
    least, largest = field.bounds
    return Annotated[int, ModelField(ge=least, le=largest), WHOLE]


def _decimal(field: Field) -> Any:
    least, largest = field.bounds
    return Annotated[Decimal, _read_from_text(field), ModelField(ge=least, le=largest)]


def _from_text(field: Field) -> Any:
    return Annotated[Any, _read_from_text(field)]


def _read_from_text(field: Field) -> PlainValidator:
    def read(value: object) -> object:
        if not isinstance(value, str):
            raise BadValue("wrong_type", "Must be a string.")
        return values.read(field, value)

    return PlainValidator(with_pydantic_errors(read))


_TYPES: dict[FieldKind, Callable[[Field], Any]] = {
    FieldKind.REFERENCE: _from_text,
    FieldKind.TEXT: _text,
    FieldKind.CHOICE: lambda field: Literal[field.choices],
    FieldKind.INTEGER: _integer,
    FieldKind.DECIMAL: _decimal,
    FieldKind.BOOLEAN: lambda _: Annotated[bool, ModelField(strict=True)],
    FieldKind.DATE: _from_text,
    FieldKind.DATETIME: _from_text,
}
