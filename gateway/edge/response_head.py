"""The head of an answer as bytes (RFC 9112 section 4), and what it says of the body that follows."""

import re
from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gateway.edge.header_lines import TOKEN, Field
from gateway.edge.request_head import CHUNKED

_LINE = re.compile(TOKEN + rb": [\t -~\x80-\xff]*+\r\n")
_CLOSES = -2  # beside lengths and CHUNKED: what else a field can mean for the framing
_MOST_LINES = 2_048


class HeadWriter:
    """Writes heads, and remembers finished lines: most fields of an answer were sent in others before."""

    def __init__(self) -> None:
        self._lines: dict[Field, tuple[bytes, int | None]] = {}
        self._common: list[Field] = []
        self._common_lines = b""
        self._common_closes = False

    def write(self, status: int, common: list[Field], headers: Iterable[Field]) -> tuple[list[bytes], int | None, bool]:
        """The lines of a head, without the empty one that ends it, and what they say of the body and the connection:
        its length (CHUNKED, or None where no field tells), and whether the connection ends with it.

        ``common`` are fields of every answer: the server keeps the same list for a second, for the sake of the date,
        and adds ``Connection: close`` to it when it is about to stop.
        Raises RuntimeError for a name or a value that would break the head, KeyError for what is no status.
        """
        if common is not self._common:
            written = [self._new_line(name, value) for name, value in common]
            self._common_lines = b"".join(line for line, _ in written)
            self._common_closes = any(meaning == _CLOSES for _, meaning in written)
            self._common = common
        known = self._lines
        lines = [STATUS_LINE[status], self._common_lines]
        length, closes = None, self._common_closes
        for name, value in headers:
            line, meaning = known.get((name, value)) or self._new_line(name, value)
            lines.append(line)
            if meaning is None:
                continue
            if meaning == _CLOSES:
                closes = True
            elif length is None or meaning == CHUNKED:
                length = meaning
        return lines, length, closes

    def _new_line(self, name: bytes, value: bytes) -> tuple[bytes, int | None]:
        line = b"%b: %b\r\n" % (name.lower(), value)
        if _LINE.fullmatch(line) is None:
            raise RuntimeError("Invalid HTTP header.")
        if len(self._lines) >= _MOST_LINES:
            self._lines.clear()  # ids and dates of the past: what is sent again is soon back
        self._lines[name, value] = written = (line, _meaning(name.lower(), value))
        return written


def _meaning(name: bytes, value: bytes) -> int | None:
    if name == b"content-length":
        return int(value)
    if name == b"transfer-encoding" and value.lower() == b"chunked":
        return CHUNKED
    if name == b"connection" and b"close" in [token.strip() for token in value.lower().split(b",")]:
        return _CLOSES
    return None
