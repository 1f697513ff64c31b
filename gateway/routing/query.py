"""The query of a request as names and values, and what is refused of it before an endpoint reads it."""

from urllib.parse import parse_qsl

from starlette.types import Scope

from tenants.crud.faults import query_fault, repetitions
from tenants.errors import ValidationFailed

_MOST_PAIRS = 200


def query_of(scope: Scope) -> list[tuple[str, str]]:
    """Names and values in the order in which they were sent. Raises ValidationFailed for what is not UTF-8."""
    raw: bytes = scope["query_string"]
    if not raw:
        return []
    try:
        return parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_PAIRS)
    except ValueError as error:
        message = f"Must be percent-encoded UTF-8, with at most {_MOST_PAIRS} parameters."
        raise ValidationFailed((query_fault("", "bad_format", message),)) from error


def refuse_parameters(scope: Scope) -> None:
    """For routes that take none. Raises ValidationFailed when there are some."""
    names = [name for name, _ in query_of(scope)]
    if names:
        raise ValidationFailed(tuple(query_fault(name, "unknown_parameter", "Unknown parameter.") for name in names))


def refuse_repetitions(scope: Scope) -> None:
    """For routes whose query FastAPI reads, which takes the last of two. Raises ValidationFailed."""
    faults = tuple(repetitions(query_of(scope)))
    if faults:
        raise ValidationFailed(faults)
