"""Translates pydantic's validation errors to stable codes and constant messages that never contain the input.

Some of pydantic's own messages quote the input (union tags, characters of a UUID, parts of an address), and its error
types change between versions: callers see neither.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, get_args

from pydantic_core.core_schema import ErrorType

from gateway.logs.redaction import redact_text
from tenants.errors import MOST_ERRORS, FieldError, NotFound, TenantryError, ValidationFailed

# pydantic's error type -> our code and message. Placeholders take bounds from our models, never the input.
_MESSAGES: dict[str, tuple[str, str]] = {
    "missing": ("missing", "Required."),
    "extra_forbidden": ("unknown_field", "Unknown field."),
    "literal_error": ("not_allowed", "Must be one of: {expected}."),
    "enum": ("not_allowed", "Must be one of: {expected}."),
    "const_error": ("not_allowed", "Must be one of: {expected}."),
    "string_too_short": ("too_short", "Must have at least {min_length} characters."),
    "string_too_long": ("too_long", "Must have at most {max_length} characters."),
    "too_short": ("too_short", "Must have at least {min_length} items."),
    "too_long": ("too_long", "Must have at most {max_length} items."),
    "greater_than": ("too_small", "Must be greater than {gt}."),
    "greater_than_equal": ("too_small", "Must be at least {ge}."),
    "less_than": ("too_large", "Must be less than {lt}."),
    "less_than_equal": ("too_large", "Must be at most {le}."),
    "multiple_of": ("not_allowed", "Must be a multiple of {multiple_of}."),
    "int_parsing_size": ("too_large", "The number is too large."),
    "string_pattern_mismatch": ("bad_format", "Does not match the required pattern."),
    "model_attributes_type": ("wrong_type", "Must be an object."),
    "model_type": ("wrong_type", "Must be an object."),
    "dict_type": ("wrong_type", "Must be an object."),
    "list_type": ("wrong_type", "Must be an array."),
    "string_type": ("wrong_type", "Must be a string."),
    "int_type": ("wrong_type", "Must be an integer."),
    "int_parsing": ("wrong_type", "Must be an integer."),
    "int_from_float": ("wrong_type", "Must be an integer."),
    "float_type": ("wrong_type", "Must be a number."),
    "float_parsing": ("wrong_type", "Must be a number."),
    "bool_type": ("wrong_type", "Must be true or false."),
    "bool_parsing": ("wrong_type", "Must be true or false."),
    "date_type": ("wrong_type", "Must be a date, such as 2026-01-31."),
    "date_parsing": ("bad_format", "Must be a date, such as 2026-01-31."),
    "date_from_datetime_parsing": ("bad_format", "Must be a date, such as 2026-01-31."),
    "date_from_datetime_inexact": ("bad_format", "Must be a date, such as 2026-01-31."),
    "datetime_type": ("wrong_type", "Must be a time, such as 2026-01-31T12:00:00Z."),
    "datetime_parsing": ("bad_format", "Must be a time, such as 2026-01-31T12:00:00Z."),
    "datetime_from_date_parsing": ("bad_format", "Must be a time, such as 2026-01-31T12:00:00Z."),
    "timezone_aware": ("bad_format", "Must include a UTC offset, such as a trailing Z."),
}
_UNKNOWN_PARAMETER = ("unknown_parameter", "Unknown parameter.")
_DEFAULT = ("invalid", "Invalid value.")
_PYDANTIC_TYPES = frozenset(get_args(ErrorType))
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
_PARAMETER_LOCATIONS = frozenset({"query", "header", "cookie"})  # a pointer into the body has no such prefix


def validation_failed(errors: Sequence[Any], within: tuple[str, ...] = ()) -> TenantryError:
    """One error for pydantic's errors, whose locations are ``within`` this one.

    Only as many are translated as an answer lists: each costs 14 µs. A malformed id in the path is NotFound: no object
    has such an id. The query is judged first, as on routes whose query is checked before their path is read.
    """
    places = [(*within, *error["loc"])[0] for error in errors]
    of_query = [error for error, place in zip(errors, places, strict=True) if place == "query"]
    if "path" in places and not of_query:  # not a field "path" of a body
        return NotFound()
    shown = of_query if "path" in places else errors
    return ValidationFailed(tuple(field_error(error, within) for error in islice(shown, MOST_ERRORS)))


def field_error(error: Mapping[str, Any], within: tuple[str, ...] = ()) -> FieldError:
    """Translate one pydantic error (``{"type", "loc", "msg", "input", "ctx"}``).

    A ``PydanticCustomError(code, message)`` without a context keeps its code and message, which are constants. All
    others are translated.
    """
    kind, context, location = error["type"], error.get("ctx") or {}, (*within, *error["loc"])
    if kind == "extra_forbidden" and location[0] == "query":
        code, message = _UNKNOWN_PARAMETER
    elif kind in _PYDANTIC_TYPES or context:
        code, message = _MESSAGES.get(kind, _DEFAULT)
        message = message.format_map(context) if "{" in message else message
    else:
        code, message = kind, error["msg"]
    return FieldError(pointer(location), code, message)


def pointer(location: Sequence[int | str]) -> str:
    """An RFC 6901 pointer: into the body, or ``/query/<parameter>`` and ``/header/<name>``.

    It ends before a name that is no plain identifier or looks like a secret: such a name is caller input.
    """
    place, *steps = location
    parts = [str(place)] if place in _PARAMETER_LOCATIONS else []
    for step in steps:
        if isinstance(step, int):
            parts.append(str(step))
        elif _NAME.match(step.replace("-", "_")) and redact_text(step) == step:
            parts.append(step)
        else:
            break
    return "".join(f"/{part}" for part in parts)
