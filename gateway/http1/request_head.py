"""Parses request heads by the strict grammar of RFC 9112 and RFC 9110 (PX5, PX7).

Validation and parsing are one step: the groups of the regular expressions are the request that the application sees, so
no second parser can read a different request from the same bytes. Beyond the grammar it rejects what servers are known
to interpret differently (RFC 9112 section 11), and control bytes that would reach templates, logs and PostgreSQL: any
percent-encoded one in the path, NUL in the query.
"""

import re
from dataclasses import dataclass
from http import HTTPMethod

from gateway.http1.header_fields import Field, check_partial, is_token, is_valid_host, parse_lines
from gateway.http1.rules import MethodNotImplemented, Rule, UnreadableRequest
from gateway.problems.errors import HeadersTooLarge, UriTooLong
from gateway.request.fields import RequestFields
from gateway.request.host import host_name
from tenants.errors import TenantryError

MAX_HEAD_BYTES = 32_768  # request line and header lines, with each CRLF
MAX_TARGET_BYTES = 8_192
CHUNKED = -1  # in place of a length: the body marks its own end (RFC 9112 section 7.1)

# Not CONNECT: this server is no proxy.
_METHODS = {method.encode(): method.value for method in HTTPMethod if method is not HTTPMethod.CONNECT}
_MAX_LINE_BYTES = len(b"\r\n") + max(map(len, _METHODS)) + MAX_TARGET_BYTES + len(b"  HTTP/1.1")

# The path is that of RFC 3986 section 3.3. The query is any visible ASCII but "#": clients send brackets unencoded.
_REQUEST_LINE = re.compile(
    rb"(?:\r\n)?"  # RFC 9112 section 2.2: ignore one empty line before the request
    rb"(?P<method>" + b"|".join(_METHODS) + rb")\ "
    rb"""(?P<target>
        (?:(?i:https?)://(?P<authority>[^/?\#@\s]++))?
        (?P<path>(?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]++|%(?:[2-689A-Fa-f][0-9A-Fa-f]|7[0-9A-Ea-e]))*|\*)?)
        (?:\?(?P<query>(?:[!"$&-~]++|%(?!00))*))?
    )"""
    rb"\ HTTP/1\.(?P<minor>[01])\r\n",
    re.VERBOSE,
)

_VERSIONS = frozenset({b"HTTP/1.1", b"HTTP/1.0"})
_SINGLETONS = {
    b"host": Rule.TWO_HOSTS,
    b"content-length": Rule.TWO_LENGTHS,
    b"transfer-encoding": Rule.TWO_CODINGS,
    b"content-type": Rule.TWO_TYPES,
}
_MAX_LENGTH_DIGITS = 18  # fits 64 bits
_MAX_CACHED_BYTES = 4_096  # of header lines, per connection


@dataclass(slots=True)
class Fields:
    """The header fields of a request and its framing."""

    headers: list[Field]  # names in lower case
    request_fields: RequestFields  # with what the gate's stages derive from them
    host: bytes | None  # None: not sent, which HTTP/1.0 allows (RFC 9112 section 3.2)
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

    def __init__(self) -> None:
        self._cached_block = b""
        self._cached_fields: Fields | None = None
        self._checked = 0  # bytes of an incomplete head that are already validated

    def read(self, data: bytes) -> RequestHead | None:
        """The head at the start of ``data``. None if it is incomplete: call again with the same bytes and more.

        Raises UnreadableRequest, MethodNotImplemented, UriTooLong or HeadersTooLarge as soon as no continuation can
        make it valid.
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
        if minor == b"0":
            if fields.length == CHUNKED:
                raise UnreadableRequest(Rule.CODING_IN_1_0)
        elif fields.host is None:
            raise UnreadableRequest(Rule.NO_HOST)
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
            raise _error_of_line(data[:end].removeprefix(b"\r\n"))
        self._check_incomplete(data)

    def _check_incomplete(self, data: bytes) -> None:
        if len(data) > MAX_HEAD_BYTES:
            raise HeadersTooLarge
        check_partial(data, max(0, self._checked - 1))
        self._checked = len(data)

    def _parse_fields(self, block: bytes) -> Fields:
        fields = _interpret(parse_lines(block))
        if fields.host is not None and not is_valid_host(fields.host):
            raise UnreadableRequest(Rule.HOST)
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
        fields.get(b"host"),
        _body_length(fields.get(b"transfer-encoding"), fields.get(b"content-length")),
        _has_option(fields.get(b"connection"), b"close"),
        _has_option(fields.get(b"expect"), b"100-continue"),
    )


def _merge_repeated(headers: list[Field], fields: dict[bytes, bytes]) -> None:
    names = [name for name, _ in headers]
    for name, rule in _SINGLETONS.items():
        if names.count(name) > 1:
            raise UnreadableRequest(rule)
    fields[b"connection"] = b",".join(value for name, value in headers if name == b"connection")


def _has_option(value: bytes | None, option: bytes) -> bool:
    if value is None or option not in value.lower():
        return False
    return option in [each.strip(b"\t ") for each in value.lower().split(b",")]


def _body_length(coding: bytes | None, length: bytes | None) -> int:
    if coding is not None:
        if length is not None:  # RFC 9112 section 6.3: possible request smuggling
            raise UnreadableRequest(Rule.CODING_AND_LENGTH)
        if coding.lower() != b"chunked":
            raise UnreadableRequest(Rule.CODING)
        return CHUNKED
    if length is None:
        return 0
    if not (length.isdigit() and len(length) <= _MAX_LENGTH_DIGITS):
        raise UnreadableRequest(Rule.LENGTH)
    return int(length)


def _path_of_other_form(
    method: bytes, target: bytes, authority: bytes | None, path: bytes, host: bytes | None
) -> bytes:
    if authority is not None:  # RFC 9112 section 3.2.2
        if host is None or _authority(authority) != _authority(host):
            raise UnreadableRequest(Rule.ABSOLUTE_TARGET)
        return path or b"/"
    if target != b"*":
        raise UnreadableRequest(Rule.TARGET)
    if method != b"OPTIONS":  # RFC 9112 section 3.2.4
        raise UnreadableRequest(Rule.ASTERISK_TARGET)
    return path


def _authority(value: bytes) -> tuple[str, bytes]:
    """Host and port, as they are compared: RFC 9110 section 4.2.3."""
    name = host_name(value)
    return name, value[value.rfind(b":") :] if value.rfind(b":") > value.rfind(b"]") else b""


def _error_of_line(line: bytes) -> TenantryError:
    """What is wrong with a complete request line that the grammar does not match."""
    try:
        check_partial(line, 0)
    except UnreadableRequest as error:
        return error
    method, _, rest = line.partition(b" ")
    target, _, version = rest.rpartition(b" ")
    if not (is_token(method) and target) or b" " in target:
        return UnreadableRequest(Rule.REQUEST_LINE)
    if version not in _VERSIONS:
        return UnreadableRequest(Rule.VERSION)
    return UnreadableRequest(Rule.TARGET) if method in _METHODS else MethodNotImplemented()
