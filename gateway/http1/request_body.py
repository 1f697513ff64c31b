"""Where the body of a request ends, and so where the next request begins (RFC 9112 sections 6 and 7, PX5, DA2)."""

import re

from gateway.http1.header_lines import TOKEN, check_beginning, read_lines
from gateway.problems.errors import HeadersTooLarge, MalformedRequest, PayloadTooLarge

_LINE_END = b"\r\n"
# RFC 9112 section 7.1. Extensions mean nothing to us; white space in them, which only the lenient take, is refused.
_SIZE_LINE = re.compile(
    rb"(?P<size>[0-9A-Fa-f]{1,16}+)"
    rb"(?:;" + TOKEN + rb"(?:=(?:" + TOKEN + rb"|" + rb'"(?:[\t !\#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"))?+)*+'
    rb"\r\n"
)
_MOST_SIZE_LINE = 256  # bytes, with extensions and line end
_MOST_TRAILER = 8_192  # bytes of all its fields
_LEAST_FRAMING = 16_384  # bytes beside the payload that a body of any size may have


class DeclaredBody:
    """A body of as many bytes as Content-Length says."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.ended = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """What of ``data`` belongs to the body, and what comes after its end."""
        payload = data[: self._left]
        self._left -= len(payload)
        self.ended = not self._left
        return payload, data[len(payload) :]


class ChunkedBody:
    """A body in chunks: at most ``limit`` bytes, and an eighth of that, or 16 KB, in what frames them.

    Without a bound on the framing, chunks of one byte and long extensions would cost us more than they cost the sender.
    The fields of a trailer are checked and dropped (RFC 9110 section 6.5.1).
    """

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._framing = max(_LEAST_FRAMING, limit // 8)
        self._left = 0  # bytes of the chunk in hand and of its line end
        self._last = False  # chunk has come
        self._held = b""  # of a line that is not complete
        self.ended = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """What of ``data`` belongs to the body, and what comes after its end.

        Raises MalformedRequest, PayloadTooLarge or HeadersTooLarge.
        """
        data, self._held = self._held + data, b""
        payload: list[bytes] = []
        begin, at = -1, 0
        while begin != at and not self.ended:
            begin, at = at, self._step(data, at, payload)
        if self.ended:
            return b"".join(payload), data[at:]
        self._held = data[at:]
        return b"".join(payload), b""

    def _step(self, data: bytes, at: int, payload: list[bytes]) -> int:
        """Where the next step begins: ``at`` itself when it takes more bytes."""
        if self._left:
            return self._read_chunk(data, at, payload)
        return self._read_trailer(data, at) if self._last else self._read_size(data, at)

    def _read_size(self, data: bytes, at: int) -> int:
        line = _SIZE_LINE.match(data, at, at + _MOST_SIZE_LINE)
        if line is None:
            if len(data) - at >= _MOST_SIZE_LINE or b"\n" in data[at:]:
                raise MalformedRequest(detail="a chunk does not begin with its size")
            return at
        size = int(line["size"], 16)
        self._room -= size
        self._framing -= line.end() - at + len(_LINE_END)
        if self._room < 0 or self._framing < 0:
            raise PayloadTooLarge
        self._left = size + len(_LINE_END) if size else 0
        self._last = not size
        return line.end()

    def _read_chunk(self, data: bytes, at: int, payload: list[bytes]) -> int:
        of_chunk = data[at : at + self._left - len(_LINE_END)] if self._left > len(_LINE_END) else b""
        if of_chunk:
            payload.append(of_chunk)
            self._left -= len(of_chunk)
            at += len(of_chunk)
        if self._left > len(_LINE_END) or len(data) - at < len(_LINE_END):
            return at
        if not data.startswith(_LINE_END, at):
            raise MalformedRequest(detail="a chunk does not end with its size")
        self._left = 0
        return at + len(_LINE_END)

    def _read_trailer(self, data: bytes, at: int) -> int:
        if data.startswith(_LINE_END, at):  # as almost always: no fields
            self.ended = True
            return at + len(_LINE_END)
        end = data.find(b"\r\n\r\n", at)
        if (end if end >= 0 else len(data)) - at > _MOST_TRAILER:
            raise HeadersTooLarge
        if end < 0:
            check_beginning(data, at)
            return at
        read_lines(data[at : end + len(_LINE_END)])
        self.ended = True
        return end + 2 * len(_LINE_END)
