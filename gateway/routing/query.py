"""The query of a request as names and values, and the check of it before an endpoint is called (AZ7).

A misspelt filter, or one on the wrong path, must not be taken for a filter that matched everything.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin
from urllib.parse import unquote_plus

from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel
from starlette.types import Scope

from tenants.crud.faults import query_fault, repetitions
from tenants.errors import MOST_ERRORS, ValidationFailed

_MOST_PAIRS = 200
_FLAGS = frozenset({"true", "false"})
_SEQUENCES = (list, set, frozenset, tuple)

Check = Callable[[Scope], None]


def query_of(scope: Scope) -> list[tuple[str, str]]:
    """Names and values in the order in which they were sent. Raises ValidationFailed for what is not UTF-8."""
    return [(name, ",".join(parts)) for name, parts in split_query(scope)]


def split_query(scope: Scope) -> list[tuple[str, tuple[str, ...]]]:
    """As ``query_of``, each value split at its commas before it is decoded: an encoded comma is part of a value.

    RFC 6570 section 3.2.8: a client that expands a list percent-encodes the commas inside of its values, and no other.
    """
    raw: bytes = scope["query_string"]
    if not raw:
        return []
    try:
        return [(_decoded(name), tuple(map(_decoded, value.split(",")))) for name, _, value in _pairs(raw)]
    except ValueError as error:
        message = f"Must be percent-encoded UTF-8, with at most {_MOST_PAIRS} parameters."
        raise ValidationFailed((query_fault("", "bad_format", message),)) from error


def _pairs(raw: bytes) -> Iterator[tuple[str, str, str]]:
    if raw.count(b"&") >= _MOST_PAIRS:
        raise ValueError(f"more than {_MOST_PAIRS} parameters")
    return (pair.partition("=") for pair in raw.decode().split("&") if pair)


def _decoded(text: str) -> str:
    return unquote_plus(text, errors="strict")


def refuse_parameters(scope: Scope) -> None:
    """For routes that take none. Raises ValidationFailed when there are some."""
    _refuse_unknown(query_of(scope), frozenset())


def flag_parameter(name: str, description: str) -> Mapping[str, Any]:
    """An optional parameter that is true or false, for the terms of a route whose endpoint calls ``flag_of``."""
    schema = {"type": "boolean", "default": False}
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def flag_of(scope: Scope, parameter: Mapping[str, Any]) -> bool:
    """The value of a flag, false when it is left out. Its spelling was checked before (``flags_check``)."""
    return dict(query_of(scope)).get(parameter["name"]) == "true"


def flags_check(parameters: Sequence[Mapping[str, Any]]) -> Check | None:
    """The check of a route that declares flags and nothing else; None for one that declares other parameters."""
    if any(each["schema"].get("type") != "boolean" for each in parameters):
        return None
    known = frozenset(each["name"] for each in parameters)

    def check(scope: Scope) -> None:
        given = query_of(scope)
        _refuse_unknown(given, known)
        wrong = (
            query_fault(name, "bad_format", "Must be true or false.") for name, value in given if value not in _FLAGS
        )
        faults = tuple(repetitions(name for name, _ in given)) or tuple(wrong)
        if faults:
            raise ValidationFailed(faults)

    return check


def check_of(dependant: Dependant) -> Check:
    """The check of an endpoint whose query FastAPI reads, which ignores unknown names and repeated ones but the last.

    ``refuse_parameters`` for an endpoint that takes none.
    """
    parameters = list(_parameters(dependant))
    if not parameters:
        return refuse_parameters
    fields = [each for parameter in parameters for each in _fields(parameter)]
    known = frozenset(name for name, _ in fields)
    lists = frozenset(name for name, annotation in fields if _is_sequence(annotation))
    models = [model for each in parameters if (model := _model_of(each.field_info.annotation))]
    closed = any(model.model_config.get("extra") == "forbid" for model in models)  # then pydantic finds unknown names

    def check(scope: Scope) -> None:
        given = query_of(scope)
        faults = tuple(repetitions(name for name, _ in given if name not in lists))
        if faults:
            raise ValidationFailed(faults)
        if not closed:
            _refuse_unknown(given, known)

    return check


def _refuse_unknown(given: Sequence[tuple[str, str]], known: frozenset[str]) -> None:
    unknown = [name for name, _ in given if name not in known]
    if unknown:
        named = unknown[:MOST_ERRORS]
        raise ValidationFailed(tuple(query_fault(name, "unknown_parameter", "Unknown parameter.") for name in named))


def _parameters(dependant: Dependant) -> Iterator[ModelField]:
    """The query parameters of the endpoint and of its dependencies."""
    yield from dependant.query_params
    for each in dependant.dependencies:
        yield from _parameters(each)


def _fields(parameter: ModelField) -> Iterator[tuple[str, Any]]:
    """Names with annotations: of the parameter itself, or of each field of a model."""
    annotation = parameter.field_info.annotation
    model = _model_of(annotation)
    if model is None:
        yield parameter.validation_alias or parameter.alias, annotation
        return
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        yield (alias if isinstance(alias, str) else field.alias or name), field.annotation


def _is_sequence(annotation: Any) -> bool:
    return any(each in _SEQUENCES or get_origin(each) in _SEQUENCES for each in _alternatives(annotation))


def _model_of(annotation: Any) -> type[BaseModel] | None:
    kinds = [each for each in _alternatives(annotation) if each is not NoneType]
    kind = kinds[0] if len(kinds) == 1 else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
