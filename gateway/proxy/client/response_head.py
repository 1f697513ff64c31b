"""Parses response heads by the grammar of RFC 9112 section 4, and finds how the body ends (RFC 9112 section 6.3)."""

import re
from dataclasses import dataclass
from typing import Final

from gateway.http1.header_fields import Field, check_partial, parse_lines
from gateway.http1.request_head import CHUNKED
from gateway.http1.rules import UnreadableRequest
from gateway.problems.errors import HeadersTooLarge
from gateway.proxy.client.errors import BadResponse

MAX_HEAD_BYTES: Final = 65_536  # status line and field lines, with each CRLF
_MAX_CACHED_BYTES: Final = 4_096

# RFC 9112 section 4, RFC 9110 section 15: statuses are 100 to 599. The space before an empty reason is often forgotten,
# and nothing depends on it.
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [\t -~\x80-\xff]*+)?\r\n")
_PARTIAL_LINE = b"HTTP/1."
_MAX_LENGTH_DIGITS: Final = 18  # fits 64 bits
_NO_CONTENT, _NOT_MODIFIED, _FIRST_FINAL = 204, 304, 200
_SINGLETONS = {b"content-length": "two_lengths", b"transfer-encoding": "two_codings"}


@dataclass(slots=True)
class ResponseHead:
    """A response, with the part of its body that came in the same read.

    ``fields`` is shared between responses whose heads are equal, so it must not be changed; what is derived from it can
    be kept as long as the next response has the very same list.
    """

    status: int
    fields: list[Field]  # names in lower case
    length: int | None  # bytes of the body that follows, CHUNKED, or None: until the connection ends
    body: bytes | memoryview  # a view where a copy of a large complete body would cost more (8 µs for 100 KB)
    complete: bool  # ``body`` is all of it
    keeps: bool  # the upstream keeps the connection


@dataclass(slots=True)
class ParsedHead:
    """What a head says of itself. How long the body is depends on the request as well."""

    status: int
    fields: list[Field]
    length: int | None
    keeps: bool  # Connection allows it
    interim: bool


class HeadReader:
    """Parses the response heads of one target.

    Responses that come in the same second are often equal: the last head is kept with its result, and compared.
    """

    def __init__(self) -> None:
        self._cached = b""
        self._parsed = ParsedHead(0, [], 0, keeps=False, interim=False)

    def read(self, head: bytes) -> ParsedHead:
        """Parse a head that ends with an empty line. Raises BadResponse."""
        if head == self._cached:
            return self._parsed
        parsed = parse(head)
        if len(head) <= _MAX_CACHED_BYTES:
            self._cached, self._parsed = head, parsed
        return parsed


def parse(head: bytes) -> ParsedHead:
    """Parse a head that ends with an empty line. Raises BadResponse."""
    line = _STATUS_LINE.match(head)
    if line is None:
        raise BadResponse("status_line")
    minor, digits = line.groups()
    try:
        fields = parse_lines(head[line.end() : -2])
    except UnreadableRequest as error:
        raise BadResponse(error.rule.name.lower()) from None
    except HeadersTooLarge:
        raise BadResponse("too_many_fields") from None
    return _interpret(int(digits), fields, is_1_0=minor == b"0")


def check_incomplete(data: bytes, checked: int) -> None:
    """Reject a head early: BadResponse if no continuation of ``data`` is valid. ``checked`` bytes were before."""
    if len(data) > MAX_HEAD_BYTES:
        raise BadResponse("head_too_large")
    if not (data.startswith(_PARTIAL_LINE) or _PARTIAL_LINE.startswith(data)):
        raise BadResponse("status_line")
    try:
        check_partial(data, max(0, checked - 1))
    except UnreadableRequest as error:
        raise BadResponse(error.rule.name.lower()) from None


def _interpret(status: int, fields: list[Field], *, is_1_0: bool) -> ParsedHead:
    values = dict(fields)
    if len(values) != len(fields):
        _merge_repeated(fields, values)
    connection = values.get(b"connection")
    if connection is None:
        keeps = not is_1_0
    else:
        options = [each.strip(b"\t ") for each in connection.lower().split(b",")]
        keeps = b"close" not in options and (not is_1_0 or b"keep-alive" in options)
    coding, declared = values.get(b"transfer-encoding"), values.get(b"content-length")
    length = _length(coding, declared, is_1_0=is_1_0)
    if status < _FIRST_FINAL or status in {_NO_CONTENT, _NOT_MODIFIED}:
        keeps = keeps and not (status == _NO_CONTENT and coding)
        length = 0
    return ParsedHead(status, fields, length, keeps, status < _FIRST_FINAL)


def _merge_repeated(fields: list[Field], values: dict[bytes, bytes]) -> None:
    names = [name for name, _ in fields]
    for name, rule in _SINGLETONS.items():
        if names.count(name) > 1:
            raise BadResponse(rule)
    if b"connection" in values:
        values[b"connection"] = b",".join(value for name, value in fields if name == b"connection")


def _length(coding: bytes | None, declared: bytes | None, *, is_1_0: bool) -> int | None:
    if coding is not None:
        if declared is not None:
            raise BadResponse("coding_and_length")
        if is_1_0:
            raise BadResponse("coding_in_1_0")
        if coding.lower() != b"chunked":
            raise BadResponse("coding")
        return CHUNKED
    if declared is None:
        return None
    if not declared.isdigit() or len(declared) > _MAX_LENGTH_DIGITS:
        raise BadResponse("length")
    return int(declared)
