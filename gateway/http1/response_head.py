"""Serialises response heads (RFC 9112 section 4) and adds the security headers that every response carries."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gateway.http1.header_fields import TOKEN, Field
from gateway.http1.request_head import CHUNKED

_NAME = re.compile(TOKEN)
_VALUE_BYTES = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))
_LENGTH, _CODING, _CONNECTION = b"content-length: ", b"transfer-encoding: ", b"connection: "
_DATE, _HSTS = b"date: ", b"strict-transport-security: "
_MAX_CACHED = 256  # header names
_CRLF = b"\r\n"

# If a browser renders an API response after all, nothing in it may load, run or be framed. Sources: OWASP Secure
# Headers, CSP Level 3.
_CONTENT_POLICY = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_TWO_YEARS = 63_072_000


def security_headers(*, https: bool) -> tuple[Field, ...]:
    """The default headers of a deployment. HSTS only where clients use https (RFC 6797 section 7.2)."""
    return (
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", _CONTENT_POLICY),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-store"),  # unlike Authorization, X-API-Key does not keep shared caches from storing
        *([(b"strict-transport-security", b"max-age=%d" % _TWO_YEARS)] if https else []),
    )


@dataclass(slots=True)
class _Line:
    """The last line that was written for a header name."""

    value: bytes | None  # None: the value changes between responses, so the line is not cached
    data: bytes
    prefix: bytes  # the lower-case name and ": "
    length: int | None = None  # Content-Length, or CHUNKED
    closes: bool = False  # Connection: close
    overrides: bool = False  # a default header or Date, which is then omitted


@dataclass(frozen=True, slots=True)
class FieldBlock:
    """The fields of a proxied response, rendered once for all responses that have the same."""

    lines: bytes
    length: int | None  # bytes of the body, CHUNKED, or None if no field tells
    overridden: tuple[bytes, ...]  # prefixes of the server's own fields that it replaces

    @classmethod
    def of(cls, fields: Iterable[Field]) -> "FieldBlock":
        """``fields`` have names in lower case, and none is Connection. Raises RuntimeError for an invalid one."""
        lines, length, overridden = [], None, []
        for name, value in fields:
            if _NAME.fullmatch(name) is None:
                raise RuntimeError("Invalid HTTP header.")
            _check_value(value)
            prefix = name + b": "
            lines.append(prefix + value + _CRLF)
            if prefix == _LENGTH:
                length = int(value)
            elif prefix in {_DATE, _HSTS}:
                overridden.append(prefix)
        return cls(b"".join(lines), length, tuple(overridden))


class HeadWriter:
    """Serialises response heads and caches header lines: most are equal from one response to the next.

    One line is cached per name, and none for a name whose value changes (ids, dates).
    """

    def __init__(self, defaults: Iterable[Field] = ()) -> None:
        """``defaults`` are added to every response that does not set a field of the same name."""
        self._lines: dict[bytes, _Line] = {}  # by name, as the application spells it
        self._defaults = {self._prefix(name): value for name, value in defaults}
        self._special = frozenset({_LENGTH, _CODING, _CONNECTION, _DATE, *self._defaults})
        self._server_headers: list[Field] = []
        self._server_lines: dict[bytes, bytes] = {}  # by prefix
        self._server_closes = False
        self._common_lines = self._join_common((), proxied=False)
        self._other_lines: dict[tuple[tuple[bytes, ...], bool], bytes] = {}  # without what is overridden

    def write(
        self,
        status: int,
        server_headers: list[Field],
        headers: Iterable[Field],
        *,
        proxied: bool | FieldBlock = False,
    ) -> tuple[list[bytes], int | None, bool]:
        """Header lines without the empty line, the body's length, and whether the connection closes.

        The length is CHUNKED, or None if no field tells. A ``proxied`` response is an upstream's: it gets HSTS alone,
        and Date if it has none. Of one with a block, ``headers`` are those that are not in the block. uvicorn keeps the
        same ``server_headers`` list for a second (for Date) and adds ``Connection: close`` to it before it stops.
        Raises RuntimeError for a name or a value that would corrupt the head, KeyError for an unknown status.
        """
        if server_headers is not self._server_headers:
            self._set_server_headers(server_headers)
        cached = self._lines
        lines = [STATUS_LINE[status], self._common_lines]
        length, closes = None, self._server_closes
        overridden: tuple[bytes, ...] = ()
        uncached = b""
        if isinstance(proxied, FieldBlock):
            lines.append(proxied.lines)
            length, overridden = proxied.length, proxied.overridden
        for name, value in headers:
            line = cached.get(name)
            if line is None or line.value != value:
                if line is not None and line.value is None:
                    lines += (line.prefix, value, _CRLF)
                    uncached += value
                    continue
                line = self._cache_line(name, value)
            lines.append(line.data)
            if line.length is not None:
                length = line.length if length is None or line.length == CHUNKED else length
            elif line.closes:
                closes = True
            elif line.overrides:
                overridden = (*overridden, line.prefix)
        _check_value(uncached)
        if overridden or proxied:
            lines[1] = self._other_common(overridden, proxied=bool(proxied))
        return lines, length, closes

    def _set_server_headers(self, headers: list[Field]) -> None:
        lines = [self._cache_line(name, value) for name, value in headers]
        self._server_lines = {line.prefix: line.data for line in lines}
        self._server_closes = any(line.closes for line in lines)
        self._common_lines = self._join_common((), proxied=False)
        self._other_lines.clear()
        self._server_headers = headers

    def _other_common(self, overridden: tuple[bytes, ...], *, proxied: bool) -> bytes:
        lines = self._other_lines.get((overridden, proxied))
        if lines is None:
            lines = self._other_lines[overridden, proxied] = self._join_common(overridden, proxied=proxied)
        return lines

    def _join_common(self, overridden: tuple[bytes, ...], *, proxied: bool) -> bytes:
        """Lines of server headers, then of defaults."""
        server = [line for prefix, line in self._server_lines.items() if prefix not in overridden]
        defaults = [(_HSTS, self._defaults.get(_HSTS))] if proxied else self._defaults.items()
        kept = [prefix + value + _CRLF for prefix, value in defaults if value is not None and prefix not in overridden]
        return b"".join([*server, *kept])

    def _cache_line(self, name: bytes, value: bytes) -> _Line:
        _check_value(value)
        previous = self._lines.get(name)
        prefix = self._prefix(name) if previous is None else previous.prefix
        line = _Line(value, prefix + value + _CRLF, prefix)
        if prefix in self._special:
            self._interpret(line, value)
        varies = previous is not None and prefix not in self._special
        self._lines[name] = _Line(None, b"", prefix) if varies else line
        return line

    def _prefix(self, name: bytes) -> bytes:
        if _NAME.fullmatch(name) is None:
            raise RuntimeError("Invalid HTTP header.")
        if len(self._lines) >= _MAX_CACHED:  # an application that generates names
            self._lines.clear()
        return name.lower() + b": "

    def _interpret(self, line: _Line, value: bytes) -> None:
        if line.prefix in self._defaults or line.prefix == _DATE:
            line.overrides = True
        elif line.prefix == _LENGTH:
            line.length = int(value)
        elif line.prefix == _CODING:
            line.length = CHUNKED if value.lower() == b"chunked" else None
        else:
            line.closes = b"close" in [token.strip() for token in value.lower().split(b",")]


def _check_value(value: bytes) -> None:
    if value.translate(None, _VALUE_BYTES):
        raise RuntimeError("Invalid HTTP header.")
