"""Bytes to Python as strictly as RFC 8259 and I-JSON (RFC 7493) demand, so that later parts get no surprises (DA1).

orjson refuses what is not JSON: NaN, Infinity, numbers beyond a double, lone surrogates, bytes that are not UTF-8, a
byte order mark, anything after the document. It accepts four things that break later parts and are refused here: a
repeated name (parsers disagree which value counts), U+0000 (PostgreSQL cannot store it), integers beyond 64 bits (they
lose digits silently), and nesting that exhausts the stack of recursive code.
"""

import re
from typing import Any

import orjson

from gateway.problems.errors import MalformedRequest

MOST_LEVELS = 64

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"')
_LONG_INTEGER = re.compile(rb"(?<![0-9.eE+-])-?[0-9]{19,}(?![0-9.eE])")
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1  # the integers of orjson; it turns larger ones into floats
_PAST_64_BITS = float(1 << 63)


def parse(body: bytes) -> Any:
    """The document as dict, list, str, int, float, bool or None.

    Raises MalformedRequest, whose message describes the fault without echoing the input.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest("The body is not valid JSON.", detail=_position(error)) from None
    names, large_float = _survey(document)
    if body.count(b":") != names and _STRING.sub(b"", body).count(b":") != names:
        raise MalformedRequest("The body has the same name twice in one object.")
    if large_float and _loses_digits(body):
        raise MalformedRequest("The body has a whole number beyond 64 bits.")
    if b"\\u0000" in body and _has_nul(document):
        raise MalformedRequest("The body has a text with U+0000 in it.")
    return document


def _survey(document: Any) -> tuple[int, bool]:
    """The number of members of all objects, and whether a float is so large that it may have been an integer."""
    names, large_float = 0, False
    level: list[Any] = [[document]]
    for _ in range(MOST_LEVELS + 1):
        deeper = []
        for container in level:
            values = container
            if type(container) is dict:
                names += len(container)
                values = container.values()
            for value in values:
                kind = type(value)
                if kind is dict or kind is list:
                    deeper.append(value)
                elif kind is float and abs(value) >= _PAST_64_BITS:
                    large_float = True
        if not deeper:
            return names, large_float
        level = deeper
    raise MalformedRequest("The body is nested too deeply.")


def _loses_digits(body: bytes) -> bool:
    return any(not _LEAST <= int(each) <= _MOST for each in _LONG_INTEGER.findall(_STRING.sub(b"", body)))


def _has_nul(document: Any) -> bool:
    remaining = [document]
    while remaining:
        each = remaining.pop()
        if isinstance(each, str) and "\0" in each:
            return True
        if isinstance(each, dict):
            remaining.extend(each)
            remaining.extend(each.values())
        elif isinstance(each, list):
            remaining.extend(each)
    return False


def _position(error: orjson.JSONDecodeError) -> str:
    return f"not JSON at character {error.pos}"
