"""pydantic's findings in our own words: stable codes, constant messages, nothing of the input.

pydantic's own texts quote what was sent in some cases (tags of unions, characters of a UUID, parts of an address) and
its types change with its versions; a caller sees neither.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic_core.core_schema import ErrorType

from gateway.logs.redaction import redact_text
from tenants.errors import FieldError, NotFound, TenantryError, ValidationFailed

# pydantic's type -> our code and message. The braces take bounds that our own models declare, never the input.
_WORDS: dict[str, tuple[str, str]] = {
    "missing": ("missing", "This is required."),
    "extra_forbidden": ("unknown_field", "There is no such field."),
    "literal_error": ("not_allowed", "Must be one of: {expected}."),
    "enum": ("not_allowed", "Must be one of: {expected}."),
    "const_error": ("not_allowed", "Must be one of: {expected}."),
    "string_too_short": ("too_short", "Must have at least {min_length} characters."),
    "string_too_long": ("too_long", "Must have at most {max_length} characters."),
    "too_short": ("too_short", "Must have at least {min_length} items."),
    "too_long": ("too_long", "Must have at most {max_length} items."),
    "greater_than": ("too_small", "Must be more than {gt}."),
    "greater_than_equal": ("too_small", "Must be at least {ge}."),
    "less_than": ("too_large", "Must be less than {lt}."),
    "less_than_equal": ("too_large", "Must be at most {le}."),
    "multiple_of": ("not_allowed", "Must be a multiple of {multiple_of}."),
    "int_parsing_size": ("too_large", "The number is too large."),
    "string_pattern_mismatch": ("bad_format", "Does not have the required form."),
    "model_attributes_type": ("wrong_type", "Must be an object."),
    "model_type": ("wrong_type", "Must be an object."),
    "dict_type": ("wrong_type", "Must be an object."),
    "list_type": ("wrong_type", "Must be a list."),
    "string_type": ("wrong_type", "Must be text."),
    "int_type": ("wrong_type", "Must be a whole number."),
    "int_parsing": ("wrong_type", "Must be a whole number."),
    "int_from_float": ("wrong_type", "Must be a whole number."),
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
    "timezone_aware": ("bad_format", "Must say its offset from UTC, such as a Z at its end."),
}
_UNKNOWN_PARAMETER = ("unknown_parameter", "There is no such parameter.")  # what else has names is made of fields
_ANYTHING_ELSE = ("invalid", "This value is not acceptable.")
_PYDANTICS_OWN = frozenset(get_args(ErrorType))
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
_PLACES = frozenset({"query", "header", "cookie"})  # the body is the document itself: its members start at "/"


def validation_failed(findings: Sequence[Any]) -> TenantryError:
    """One error for all findings of a request. An id in the path that cannot be one is an id that does not exist."""
    if any(finding["loc"][:1] == ("path",) for finding in findings):
        return NotFound()
    return ValidationFailed(tuple(field_error(finding) for finding in findings))


def field_error(finding: Mapping[str, Any]) -> FieldError:
    """What pydantic tells (``{"type", "loc", "msg", "input", "ctx"}``) as pointer, code and message.

    An error that a validator raised as ``PydanticCustomError(code, message)`` keeps both: without a context its message
    is a constant. Every other one is translated.
    """
    kind, context = finding["type"], finding.get("ctx") or {}
    if kind == "extra_forbidden" and finding["loc"][0] == "query":
        code, message = _UNKNOWN_PARAMETER
    elif kind in _PYDANTICS_OWN or context:
        code, message = _WORDS.get(kind, _ANYTHING_ELSE)
        message = message.format_map(context) if "{" in message else message
    else:
        code, message = kind, finding["msg"]
    return FieldError(pointer(finding["loc"]), code, message)


def pointer(location: Sequence[int | str]) -> str:
    """An RFC 6901 pointer: into the body, or ``/query/<parameter>`` and ``/header/<name>``.

    It stops before a name that is not a plain identifier or looks like a secret: such a name is the caller's own text.
    """
    place, *steps = location
    parts = [str(place)] if place in _PLACES else []
    for step in steps:
        if isinstance(step, int):
            parts.append(str(step))
        elif _NAME.match(step.replace("-", "_")) and redact_text(step) == step:
            parts.append(step)
        else:
            break
    return "".join(f"/{part}" for part in parts)
