"""The head of a request as RFC 9112 and RFC 9110 write it, and not a byte more freely (PX5, PX7).

What is checked is what is used: the groups of the two expressions below are the request that the application sees, so
that no second parser can read another one out of the same bytes. Refused beyond the grammar is what two servers on one
way are known to read differently (RFC 9112 section 11), and what would reach templates, logs and PostgreSQL: encoded
control bytes in the path, NUL in the query.
"""

import re
from collections.abc import Callable
from http import HTTPMethod
from typing import NamedTuple

from gateway.http1.header_lines import Field, check_beginning, read_lines
from gateway.problems.errors import HeadersTooLarge, MalformedRequest, UriTooLong
from gateway.request.fields import RequestFields

MOST_HEAD_BYTES = 32_768  # request line and header lines, with their line ends
MOST_TARGET_BYTES = 8_192
CHUNKED = -1  # the length of a body that says by itself where it ends

# CONNECT would make us the end of a tunnel.
_METHODS = {method.encode(): method.value for method in HTTPMethod if method is not HTTPMethod.CONNECT}
_MOST_LINE_BYTES = len(b"\r\n") + max(map(len, _METHODS)) + MOST_TARGET_BYTES + len(b"  HTTP/1.1")

# A path of RFC 3986 section 3.3. A query of any visible ASCII but "#": clients send brackets there as they are.
_REQUEST_LINE = re.compile(
    rb"(?:\r\n)?+"  # RFC 9112 section 2.2: one empty line before is no harm
    rb"(?P<method>" + b"|".join(_METHODS) + rb")\ "
    rb"""(?P<target>
        (?:(?i:https?)://(?P<authority>[^/?\#@\s]++))?+
        (?P<path>(?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]++|%(?:[2-689A-Fa-f][0-9A-Fa-f]|7[0-9A-Ea-e]))*+|\*)?+)
        (?:\?(?P<query>(?:[!"$&-~]++|%(?!00))*+))?+
    )"""
    rb"\ HTTP/1\.(?P<minor>[01])\r\n",
    re.VERBOSE,
)

_SINGLE = (b"host", b"content-length", b"transfer-encoding", b"content-type")
_MOST_DIGITS = 18  # of a length, so that it fits 64 bits
_REMEMBERED = 4_096  # bytes of the last header lines of a connection


class Fields(NamedTuple):
    """The header fields of a request, and what they say of its framing."""

    headers: list[Field]  # names in lower case
    remembered: RequestFields  # what the stages find in them
    host: bytes
    length: int  # bytes of the body, or CHUNKED
    closes: bool  # the client wants the connection to end with the answer
    expects: bool  # the client waits for 100 before it sends the body


# Method, path as it was sent, query, version ("1.0" or "1.1"), fields, and where the head ends in the bytes that were
# read. A plain tuple, since an object with names costs a fifth of a microsecond for every request.
Head = tuple[str, bytes, bytes, str, Fields, int]


class HeadReader:
    """Reads the heads of one connection, one after another.

    Most clients send the same header lines with every request. The last ones are remembered, with what they say, and
    read anew when a byte of them is different. The memory is bounded, and ends with the connection, as one of secrets
    should.
    """

    def __init__(self, accepts: Callable[[bytes], bool]) -> None:
        self._accepts = accepts  # whether a value of Host is a host, and one of ours
        self._block = b""
        self._fields: Fields | None = None
        self._searched = 0  # bytes of an incomplete head that need not be looked through again

    def read(self, data: bytes) -> Head | None:
        """The head that ``data`` begins with. None while it is incomplete: call again with the same bytes and more.

        Raises MalformedRequest, UriTooLong or HeadersTooLarge as soon as it can become no head that we take.
        """
        line = _REQUEST_LINE.match(data)
        if line is None:
            self._check_incomplete_line(data)
            return None
        method, target, authority, path, query, minor = line.groups()
        if len(target) > MOST_TARGET_BYTES:
            raise UriTooLong
        begin = line.end()
        end = data.find(b"\r\n\r\n", begin - 2)
        if end < 0 or end > MOST_HEAD_BYTES - 4:
            self._check_incomplete(data)
            return None
        block = data[begin : end + 2]
        fields = self._fields
        if fields is None or block != self._block:
            fields = self._read_fields(block)
        if minor == b"0" and fields.length == CHUNKED:
            raise MalformedRequest(detail="Transfer-Encoding in HTTP/1.0")
        if authority is not None or path[:1] != b"/":
            path = _path_of_another_form(method, target, authority, path, fields.host)
        self._searched = 0
        return _METHODS[method], path, query or b"", "1.1" if minor == b"1" else "1.0", fields, end + 4

    def _check_incomplete_line(self, data: bytes) -> None:
        end = data.find(b"\r\n", len(b"\r\n"))
        if (len(data) if end < 0 else end) > _MOST_LINE_BYTES:
            raise UriTooLong
        if end >= 0:
            raise MalformedRequest(detail="not a request line of HTTP/1.1 or HTTP/1.0")
        self._check_incomplete(data)

    def _check_incomplete(self, data: bytes) -> None:
        if len(data) > MOST_HEAD_BYTES:
            raise HeadersTooLarge
        check_beginning(data, max(0, self._searched - 1))
        self._searched = len(data)

    def _read_fields(self, block: bytes) -> Fields:
        fields = _fields_of(read_lines(block))
        if not self._accepts(fields.host):
            raise MalformedRequest(detail="Host is missing, is not a host, or is not one of ours")
        if len(block) <= _REMEMBERED:
            self._block, self._fields = block, fields
        return fields


def _fields_of(headers: list[Field]) -> Fields:
    fields = dict(headers)
    if len(fields) != len(headers):
        _join_repeated(headers, fields)
    return Fields(
        headers,
        RequestFields.of(headers),
        fields.get(b"host", b""),
        _length(fields.get(b"transfer-encoding"), fields.get(b"content-length")),
        _names(fields.get(b"connection"), b"close"),
        _names(fields.get(b"expect"), b"100-continue"),
    )


def _join_repeated(headers: list[Field], fields: dict[bytes, bytes]) -> None:
    names = [name for name, _ in headers]
    for name in _SINGLE:
        if names.count(name) > 1:
            raise MalformedRequest(detail=f"more than one {name.decode('ascii')}")
    fields[b"connection"] = b",".join(value for name, value in headers if name == b"connection")


def _names(value: bytes | None, option: bytes) -> bool:
    if value is None or option not in value.lower():
        return False
    return option in [each.strip(b"\t ") for each in value.lower().split(b",")]


def _length(coding: bytes | None, length: bytes | None) -> int:
    if coding is not None:
        if length is not None:  # RFC 9112 section 6.3: the sign of an attempt at smuggling
            raise MalformedRequest(detail="Transfer-Encoding with Content-Length")
        if coding.lower() != b"chunked":
            raise MalformedRequest(detail="unknown transfer coding")
        return CHUNKED
    if length is None:
        return 0
    if not (length.isdigit() and len(length) <= _MOST_DIGITS):
        raise MalformedRequest(detail="Content-Length is not a number")
    return int(length)


def _path_of_another_form(method: bytes, target: bytes, authority: bytes | None, path: bytes, host: bytes) -> bytes:
    if authority is not None and authority.lower() == host.lower():  # RFC 9112 section 3.2.2
        return path or b"/"
    if target == b"*" and method == b"OPTIONS":  # RFC 9112 section 3.2.4
        return path
    raise MalformedRequest(detail="the target names no path of the host in Host")
