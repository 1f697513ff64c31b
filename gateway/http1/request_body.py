"""Finds the end of a request body, and so the start of the next request (RFC 9112 sections 6 and 7, PX5, DA2)."""

import re

from gateway.http1.header_fields import TOKEN, check_partial, parse_lines
from gateway.http1.rules import Rule, UnreadableRequest
from gateway.problems.errors import HeadersTooLarge, PayloadTooLarge

_CRLF = b"\r\n"
# RFC 9112 section 7.1. Extensions are ignored; whitespace in them, which only lenient parsers accept, is rejected.
_SIZE_LINE = re.compile(
    rb"(?P<size>[0-9A-Fa-f]{1,16}+)"
    rb"(?:;" + TOKEN + rb"(?:=(?:" + TOKEN + rb"|" + rb'"(?:[\t !\#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?)*'
    rb"\r\n"
)
_MAX_SIZE_LINE = 256  # bytes, with extensions and CRLF
_MAX_TRAILER = 8_192  # bytes of all trailer fields
_FREE_FRAMING = 16_384  # bytes of chunk framing that a body of any size may have
_PAYLOAD_PER_FRAMING = 8  # bytes of payload that allow one more byte of framing
_UNBOUNDED = 1 << 62  # bytes
_TOO_MUCH_FRAMING = "The chunks of the body are too small. Send larger chunks, or a Content-Length."


class DeclaredBody:
    """A body with a Content-Length."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._remaining = length
        self.ended = False

    def bound(self, limit: int) -> bool:
        """Whether the body has at most ``limit`` bytes."""
        return self._length <= limit

    def bound_rest(self, limit: int) -> bool:
        """Whether at most ``limit`` bytes are still to come."""
        return self._remaining <= limit

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Split ``data`` into the payload of this body and the bytes after its end."""
        payload = data[: self._remaining]
        self._remaining -= len(payload)
        self.ended = not self._remaining
        return payload, data[len(payload) :]


class ChunkedBody:
    """A chunked body: at most ``limit`` bytes of payload, and 16 KB of chunk framing plus an eighth of the payload.

    The bound on framing limits the CPU time that chunks of one byte and long extensions can cost, in every part of the
    body: each chunk takes 4 µs, and 43,000 of them can arrive in one read (LD1). Trailer fields are validated and
    dropped (RFC 9110 section 6.5.1).
    """

    def __init__(self, limit: int = _UNBOUNDED) -> None:
        self._limit = limit
        self._remaining = limit
        self._framing_left = _FREE_FRAMING
        self._chunk_left = 0  # bytes of the current chunk and its CRLF
        self._last_chunk_seen = False
        self._buffer = b""  # an incomplete line
        self.ended = False

    def bound(self, limit: int) -> bool:
        """The body has at most ``limit`` bytes from now on. False if more are announced already."""
        self._remaining += limit - self._limit
        self._limit = limit
        return self._remaining >= 0

    def bound_rest(self, limit: int) -> bool:
        """At most ``limit`` bytes are still to come from now on. False if more are announced already."""
        announced = self._limit - self._remaining
        self._remaining = limit - self._chunk_left
        self._limit = announced + self._remaining
        return self._remaining >= 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Split ``data`` into the payload of this body and the bytes after its end.

        Raises UnreadableRequest, PayloadTooLarge or HeadersTooLarge.
        """
        data, self._buffer = self._buffer + data, b""
        payload: list[bytes] = []
        begin, at = -1, 0
        while begin != at and not self.ended:
            begin, at = at, self._step(data, at, payload)
        if self.ended:
            return b"".join(payload), data[at:]
        self._buffer = data[at:]
        return b"".join(payload), b""

    def _step(self, data: bytes, at: int, payload: list[bytes]) -> int:
        """The offset of the next step: ``at`` itself if more bytes are needed."""
        if self._chunk_left:
            return self._read_chunk(data, at, payload)
        return self._read_trailer(data, at) if self._last_chunk_seen else self._read_size(data, at)

    def _read_size(self, data: bytes, at: int) -> int:
        line = _SIZE_LINE.match(data, at, at + _MAX_SIZE_LINE)
        if line is None:
            if len(data) - at >= _MAX_SIZE_LINE or b"\n" in data[at:]:
                raise UnreadableRequest(Rule.CHUNK_SIZE)
            return at
        size = int(line["size"], 16)
        self._remaining -= size
        self._framing_left += size // _PAYLOAD_PER_FRAMING - (line.end() - at) - len(_CRLF)
        if self._remaining < 0:
            raise PayloadTooLarge
        if self._framing_left < 0:
            raise PayloadTooLarge(_TOO_MUCH_FRAMING)
        self._chunk_left = size + len(_CRLF) if size else 0
        self._last_chunk_seen = not size
        return line.end()

    def _read_chunk(self, data: bytes, at: int, payload: list[bytes]) -> int:
        chunk = data[at : at + self._chunk_left - len(_CRLF)] if self._chunk_left > len(_CRLF) else b""
        if chunk:
            payload.append(chunk)
            self._chunk_left -= len(chunk)
            at += len(chunk)
        if self._chunk_left > len(_CRLF) or len(data) - at < len(_CRLF):
            return at
        if not data.startswith(_CRLF, at):
            raise UnreadableRequest(Rule.CHUNK_END)
        self._chunk_left = 0
        return at + len(_CRLF)

    def _read_trailer(self, data: bytes, at: int) -> int:
        if data.startswith(_CRLF, at):  # the common case: no fields
            self.ended = True
            return at + len(_CRLF)
        end = data.find(b"\r\n\r\n", at)
        if (end if end >= 0 else len(data)) - at > _MAX_TRAILER:
            raise HeadersTooLarge
        if end < 0:
            check_partial(data, at)
            return at
        parse_lines(data[at : end + len(_CRLF)])
        self.ended = True
        return end + 2 * len(_CRLF)
