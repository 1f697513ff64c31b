"""Parses request heads by the strict grammar of RFC 9112 and RFC 9110 (PX5, PX7).

Validation and parsing are one step: the groups of the regular expressions are the request that the application sees, so
no second parser can read a different request from the same bytes. Beyond the grammar it rejects what servers are known
to interpret differently (RFC 9112 section 11), and control bytes that would reach templates, logs and PostgreSQL: any
percent-encoded one in the path, NUL in the query.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPMethod

from gateway.http1.header_fields import Field, check_partial, parse_lines
from gateway.problems.errors import HeadersTooLarge, MalformedRequest, UriTooLong
from gateway.request.fields import RequestFields

MAX_HEAD_BYTES = 32_768  # request line and header lines, with each CRLF
MAX_TARGET_BYTES = 8_192
CHUNKED = -1  # in place of a length: the body marks its own end (RFC 9112 section 7.1)

# Not CONNECT: this server is no proxy.
_METHODS = {method.encode(): method.value for method in HTTPMethod if method is not HTTPMethod.CONNECT}
_MAX_LINE_BYTES = len(b"\r\n") + max(map(len, _METHODS)) + MAX_TARGET_BYTES + len(b"  HTTP/1.1")

# The path is that of RFC 3986 section 3.3. The query is any visible ASCII but "#": clients send brackets unencoded.
_REQUEST_LINE = re.compile(
    rb"(?:\r\n)?+"  # RFC 9112 section 2.2: ignore one empty line before the request
    rb"(?P<method>" + b"|".join(_METHODS) + rb")\ "
    rb"""(?P<target>
        (?:(?i:https?)://(?P<authority>[^/?\#@\s]++))?+
        (?P<path>(?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]++|%(?:[2-689A-Fa-f][0-9A-Fa-f]|7[0-9A-Ea-e]))*+|\*)?+)
        (?:\?(?P<query>(?:[!"$&-~]++|%(?!00))*+))?+
    )"""
    rb"\ HTTP/1\.(?P<minor>[01])\r\n",
    re.VERBOSE,
)

_SINGLETONS = (b"host", b"content-length", b"transfer-encoding", b"content-type")
_MAX_LENGTH_DIGITS = 18  # fits 64 bits
_MAX_CACHED_BYTES = 4_096  # of header lines, per connection


@dataclass(slots=True)
class Fields:
    """The header fields of a request and its framing."""

    headers: list[Field]  # names in lower case
    request_fields: RequestFields  # with what the gate's stages derive from them
    host: bytes
    length: int  # bytes of the body, or CHUNKED
    closes: bool  # Connection: close
    expects: bool  # Expect: 100-continue


@dataclass(slots=True)
class RequestHead:
    """A parsed request line and header section."""

    method: str
    path: bytes  # percent-encoded, as sent
    query: bytes
    version: str  # "1.0" or "1.1"
    fields: Fields
    size: int  # bytes, with the empty line


class HeadReader:
    """Parses the request heads of one connection.

    Most clients send the same header lines with every request. So the last header section is cached with its result,
    and compared byte by byte with the next. The cache is bounded and ends with the connection, since it holds
    credentials.
    """

    def __init__(self, is_valid_host: Callable[[bytes], bool]) -> None:
        self._is_valid_host = is_valid_host
        self._cached_block = b""
        self._cached_fields: Fields | None = None
        self._checked = 0  # bytes of an incomplete head that are already validated

    def read(self, data: bytes) -> RequestHead | None:
        """The head at the start of ``data``. None if it is incomplete: call again with the same bytes and more.

        Raises MalformedRequest, UriTooLong or HeadersTooLarge as soon as no continuation can make it valid.
        """
        line = _REQUEST_LINE.match(data)
        if line is None:
            self._check_incomplete_line(data)
            return None
        method, target, authority, path, query, minor = line.groups()
        if len(target) > MAX_TARGET_BYTES:
            raise UriTooLong
        begin = line.end()
        end = data.find(b"\r\n\r\n", begin - 2)
        if end < 0 or end > MAX_HEAD_BYTES - 4:
            self._check_incomplete(data)
            return None
        block = data[begin : end + 2]
        fields = self._cached_fields
        if fields is None or block != self._cached_block:
            fields = self._parse_fields(block)
        if minor == b"0" and fields.length == CHUNKED:
            raise MalformedRequest(detail="Transfer-Encoding in HTTP/1.0")
        if authority is not None or path[:1] != b"/":
            path = _path_of_other_form(method, target, authority, path, fields.host)
        self._checked = 0
        version = "1.1" if minor == b"1" else "1.0"
        return RequestHead(_METHODS[method], path, query or b"", version, fields, end + len(b"\r\n\r\n"))

    def _check_incomplete_line(self, data: bytes) -> None:
        end = data.find(b"\r\n", len(b"\r\n"))
        if (len(data) if end < 0 else end) > _MAX_LINE_BYTES:
            raise UriTooLong
        if end >= 0:
            raise MalformedRequest(detail="invalid request line")
        self._check_incomplete(data)

    def _check_incomplete(self, data: bytes) -> None:
        if len(data) > MAX_HEAD_BYTES:
            raise HeadersTooLarge
        check_partial(data, max(0, self._checked - 1))
        self._checked = len(data)

    def _parse_fields(self, block: bytes) -> Fields:
        fields = _interpret(parse_lines(block))
        if not self._is_valid_host(fields.host):
            raise MalformedRequest(detail="Host is missing, invalid or not allowed")
        if len(block) <= _MAX_CACHED_BYTES:
            self._cached_block, self._cached_fields = block, fields
        return fields


def _interpret(headers: list[Field]) -> Fields:
    fields = dict(headers)
    if len(fields) != len(headers):
        _merge_repeated(headers, fields)
    return Fields(
        headers,
        RequestFields.of(headers),
        fields.get(b"host", b""),
        _body_length(fields.get(b"transfer-encoding"), fields.get(b"content-length")),
        _has_option(fields.get(b"connection"), b"close"),
        _has_option(fields.get(b"expect"), b"100-continue"),
    )


def _merge_repeated(headers: list[Field], fields: dict[bytes, bytes]) -> None:
    names = [name for name, _ in headers]
    for name in _SINGLETONS:
        if names.count(name) > 1:
            raise MalformedRequest(detail=f"more than one {name.decode('ascii')}")
    fields[b"connection"] = b",".join(value for name, value in headers if name == b"connection")


def _has_option(value: bytes | None, option: bytes) -> bool:
    if value is None or option not in value.lower():
        return False
    return option in [each.strip(b"\t ") for each in value.lower().split(b",")]


def _body_length(coding: bytes | None, length: bytes | None) -> int:
    if coding is not None:
        if length is not None:  # RFC 9112 section 6.3: possible request smuggling
            raise MalformedRequest(detail="Transfer-Encoding with Content-Length")
        if coding.lower() != b"chunked":
            raise MalformedRequest(detail="unknown transfer coding")
        return CHUNKED
    if length is None:
        return 0
    if not (length.isdigit() and len(length) <= _MAX_LENGTH_DIGITS):
        raise MalformedRequest(detail="invalid Content-Length")
    return int(length)


def _path_of_other_form(method: bytes, target: bytes, authority: bytes | None, path: bytes, host: bytes) -> bytes:
    if authority is not None and authority.lower() == host.lower():  # RFC 9112 section 3.2.2
        return path or b"/"
    if target == b"*" and method == b"OPTIONS":  # RFC 9112 section 3.2.4
        return path
    raise MalformedRequest(detail="the request target does not match Host")
