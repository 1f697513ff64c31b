"""Bytes to Python as strictly as RFC 8259 and I-JSON (RFC 7493) demand, so that later parts get no surprises (DA1).

orjson refuses what is not JSON: NaN, Infinity, numbers beyond a double, lone surrogates, bytes that are not UTF-8,
anything after the document. It accepts four things that break later parts and are refused here: a repeated name
(parsers disagree which value counts), U+0000 (PostgreSQL cannot store it), integers beyond 64 bits (they lose digits
silently), and nesting that exhausts the stack of recursive code.

It also makes as many Python objects as the bytes describe, and holds the interpreter lock while it does: 350,000 empty
arrays in 1 MB take 220 ms. So a document with too many values is refused before any of them is made (LD1).
"""

import re
from typing import Any

import orjson

from gateway.problems.errors import MalformedRequest, PayloadTooLarge
from gateway.request.route import DEFAULT_VALUES

MOST_LEVELS = 64

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONG_INTEGER = re.compile(rb"(?<![0-9.eE+-])-?[0-9]{19,}(?![0-9.eE])")
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1  # the integers of orjson; it turns larger ones into floats
_PAST_64_BITS = float(1 << 63)
_BYTES_OF_A_VALUE = 2  # at least: one and a comma
_QUOTES_OF_A_VALUE = 4  # at most: of its own text, and of its name
_TOO_DEEP = f"The body is nested too deeply: it has more than {MOST_LEVELS} levels."
# orjson's own messages name the rule in other cases; they are constants, without input.
_RULES = {
    "depth limit exceeded": _TOO_DEEP,
    "str is not valid UTF-8: surrogates not allowed": "The body is not UTF-8, as JSON must be (RFC 8259 section 8.1).",
}


def parse(body: bytes, value_limit: int = DEFAULT_VALUES) -> Any:
    """The document as dict, list, str, int, float, bool or None.

    ``value_limit`` bounds the values of the document: objects, arrays, texts, numbers and literals, itself included.

    Raises MalformedRequest, whose message names the rule that is broken without echoing the input, and PayloadTooLarge.
    """
    if len(body) > _BYTES_OF_A_VALUE * value_limit and _has_more_values(body, value_limit):
        raise _too_many_values(value_limit)
    try:
        document = _loads(body)
    except orjson.JSONDecodeError as error:
        rule = _RULES.get(error.msg) or f"The body is not valid JSON: {error.msg}."
        raise MalformedRequest(rule, detail=f"not JSON at character {error.pos}") from None
    names, items, large_float = _survey(document)
    if names + items >= value_limit:
        raise _too_many_values(value_limit)
    if body.count(b":") != names and _outside_texts(body).count(b":") != names:
        raise MalformedRequest("The body has the same name twice in one object.")
    if large_float and _loses_digits(body):
        raise MalformedRequest("The body has a whole number beyond 64 bits.")
    if b"\\u0000" in body and _has_nul(document):
        raise MalformedRequest("The body has a text with U+0000 in it.")
    return document


def _loads(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # RFC 8259 section 8.1: a parser may ignore a byte order mark, which some clients send.
        if not body.startswith(_BYTE_ORDER_MARK):
            raise
        return orjson.loads(body.removeprefix(_BYTE_ORDER_MARK))


def _too_many_values(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body has more than {limit:,} values, counting objects and arrays. Send fewer at once.")


def _has_more_values(body: bytes, limit: int) -> bool:
    """Whether commas and brackets show more values than ``limit``; at most twice as many remain unnoticed.

    In time proportional to the bytes, without making the values: 1 to 5 ms for 1 MB.
    """
    if not _is_crowded(body, limit):
        return False
    bare = _without_escapes(body)
    return bare.count(b'"') > _QUOTES_OF_A_VALUE * limit or _is_crowded(b"".join(bare.split(b'"')[::2]), limit)


def _is_crowded(text: bytes, limit: int) -> bool:
    return text.count(b",") >= limit or text.count(b"[") + text.count(b"{") > limit


def _outside_texts(body: bytes) -> bytes:
    """The document without its texts and names; only of one whose number of values is bounded."""
    return b"".join(_without_escapes(body).split(b'"')[::2])


def _without_escapes(body: bytes) -> bytes:
    """Every quote that is left begins or ends a text."""
    return body.replace(b"\\\\", b"").replace(b'\\"', b"")


def _survey(document: Any) -> tuple[int, int, bool]:
    """The members of all objects, the items of all arrays, and whether a float is so large that it may be an integer.

    Raises MalformedRequest for a document that is nested too deeply.
    """
    names, items, large_float = 0, 0, False
    level: list[Any] = [[document]]
    for _ in range(MOST_LEVELS + 1):
        deeper = []
        for container in level:
            values = container
            if type(container) is dict:
                names += len(container)
                values = container.values()
            else:
                items += len(container)
            for value in values:
                kind = type(value)
                if kind is dict or kind is list:
                    deeper.append(value)
                elif kind is float and abs(value) >= _PAST_64_BITS:
                    large_float = True
        if not deeper:
            return names, items - 1, large_float  # the document itself is in a list of our own
        level = deeper
    raise MalformedRequest(_TOO_DEEP)


def _loses_digits(body: bytes) -> bool:
    return any(not _LEAST <= int(each) <= _MOST for each in _LONG_INTEGER.findall(_outside_texts(body)))


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
