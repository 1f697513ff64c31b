"""Parses form-encoded nested parameters into dictionaries and lists.

Source: https://docs.stripe.com/api (form-encoded bodies); nesting as ``a[b][c]=1``, arrays as ``a[0][b]=1`` (the SDKs)
or ``a[]=1`` and ``a[][b]=1`` (curl). Leaves stay strings: the parameter models give them types.
"""

import re
from typing import Any
from urllib.parse import parse_qsl

from gateway.development.stripe.errors import StripeError

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_DEEPEST = 6
_MOST_FIELDS = 1000


def parse_form(text: str) -> dict[str, Any]:
    """The parameters of a query or a body. Raises StripeError for invalid names."""
    found: dict[str, Any] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except (ValueError, UnicodeDecodeError) as error:
        raise StripeError("Invalid request: the parameters are not form-encoded UTF-8.") from error
    for name, value in pairs:
        _put(found, _steps(name), value)
    return found


def _steps(name: str) -> list[str]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise StripeError(f"Invalid parameter name: {name}", param=name)
    steps = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
    if len(steps) > _DEEPEST:
        raise StripeError(f"Parameters nest too deeply: {name}", param=name)
    return steps


def _put(into: dict[str, Any], steps: list[str], value: str) -> None:
    name, *rest = steps
    if not rest:
        into[name] = value
    elif rest[0] == "":
        _append(_container(into, name, list), rest[1:], value)
    else:
        _put(_container(into, name, dict), rest, value)


def _append(into: list[Any], steps: list[str], value: str) -> None:
    if not steps:
        into.append(value)
        return
    # A name that the last element already has starts the next element: items[][price]=a&items[][price]=b.
    if not into or not isinstance(into[-1], dict) or steps[0] in into[-1]:
        into.append({})
    _put(into[-1], steps, value)


def _container(into: dict[str, Any], name: str, kind: type[Any]) -> Any:
    held = into.setdefault(name, kind())
    if not isinstance(held, kind):
        raise StripeError("Invalid object", param=name)
    return held
