"""The parameters of a resource's routes in the OpenAPI document."""

from collections.abc import Iterator
from typing import Any

from gateway.data.schemas import example_of, value_schema
from tenants.crud.filters import MAX_VALUES, Operator, operators_of
from tenants.crud.query import DEFAULT_LIMIT, MAX_LIMIT, own_parameters
from tenants.crud.search import MAX_LENGTH, MAX_WORDS, MIN_LENGTH
from tenants.crud.sort import sorts_of
from tenants.resources.collection import Collection
from tenants.resources.fields import Field

Parameter = dict[str, Any]


def list_parameters(collection: Collection) -> list[Parameter]:
    """Limit, cursor, sort, search, and each filter with each of its operators."""
    own = own_parameters(collection)
    filters = (each for field in collection.filterable.values() for each in _filters(field))
    return [*(each for each in _own(collection) if each["name"] in own), *filters]


def id_parameter(collection: Collection) -> Parameter:
    """The ``id`` of the path."""
    field = collection.by_name["id"]
    return {
        "name": "id",
        "in": "path",
        "required": True,
        "description": f"The id of the {collection.resource.singular.replace('_', ' ')}.",
        "schema": value_schema(field),
        "example": example_of(field),
    }


def _own(collection: Collection) -> Iterator[Parameter]:
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
    yield _query("limit", "Maximum number of objects to return.", limit)
    yield _query(
        "cursor", "`next_cursor` of the previous page, with the same sort, filters and search.", {"type": "string"}
    )
    sort = {"type": "string", "enum": list(sorts_of(collection)), "default": collection.resource.default_sort}
    yield _query("sort", "Sort order; `-` for descending. Null sorts as the greatest value.", sort)
    names = ", ".join(f"`{name}`" for name in collection.resource.searchable)
    search = {"type": "string", "minLength": MIN_LENGTH, "maxLength": MAX_LENGTH}
    yield _query("q", f"Up to {MAX_WORDS} words; each must occur in one of {names}. Case is ignored.", search)


def _filters(field: Field) -> Iterator[Parameter]:
    for operator in operators_of(field.kind):
        name = field.name if operator is Operator.EQ else f"{field.name}[{operator}]"
        parameter = _query(name, _MEANINGS[operator].format(field.name), _filter_schema(field, operator))
        # OpenAPI 3.1, "Style Values": the parameter once for each value, which is what generated clients send whatever
        # `explode` says. One parameter with commas (`explode: false`) means the same.
        yield parameter | {"style": "form", "explode": True} if operator is Operator.IN else parameter


def _filter_schema(field: Field, operator: Operator) -> dict[str, Any]:
    match operator:
        case Operator.IS_NULL:
            return {"type": "boolean"}
        case Operator.IN:
            return {"type": "array", "items": value_schema(field), "minItems": 1, "maxItems": MAX_VALUES}
        case _:
            return value_schema(field)


def _query(name: str, description: str, schema: dict[str, Any]) -> Parameter:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


_MEANINGS: dict[Operator, str] = {
    Operator.EQ: "`{}` equals this value.",
    Operator.NE: "`{}` differs from this value, or is null.",
    Operator.GT: "`{}` is greater (later) than this value.",
    Operator.GTE: "`{}` is greater (later) than or equal to this value.",
    Operator.LT: "`{}` is less (earlier) than this value.",
    Operator.LTE: "`{}` is less (earlier) than or equal to this value.",
    Operator.IN: f"`{{}}` is one of up to {MAX_VALUES} values: repeated, or separated by commas.",
    Operator.CONTAINS: "`{}` contains this text. Case is ignored.",
    Operator.STARTS_WITH: "`{}` starts with this text. Case is ignored.",
    Operator.IS_NULL: "`{}` is null (`true`), or is not null (`false`).",
}
