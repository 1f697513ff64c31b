"""The head of an answer as bytes (RFC 9112 section 4), and what it says of the body that follows."""

import re
from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gateway.http1.header_lines import TOKEN, Field
from gateway.http1.request_head import CHUNKED

_NAME = re.compile(TOKEN)
_IN_VALUES = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))
_LENGTH, _CODING, _CONNECTION = b"content-length: ", b"transfer-encoding: ", b"connection: "
# What else a field can mean, beside lengths and CHUNKED: that the connection ends, that a default is not to be sent.
_CLOSES, _REPLACES = -2, -3
_MOST_NAMES = 256
_END = b"\r\n"


# Value, line, meaning, and how every line of that name begins. No value where values change and mean nothing to us.
_Line = tuple[bytes | None, bytes, int | None, bytes]


class HeadWriter:
    """Writes heads, and remembers the line that was sent under a name: most are the same in the next answer.

    Not more than one of a name, and none of a name whose values change, since ids and dates would push out of the
    processor's caches what is used again.
    """

    def __init__(self, defaults: Iterable[Field] = ()) -> None:
        """``defaults`` are fields that every answer has, unless it sets one of that name itself."""
        self._lines: dict[bytes, _Line] = {}  # by the name as the application spells it
        self._defaults = {self._beginning(name): value for name, value in defaults}
        self._meant = frozenset({_LENGTH, _CODING, _CONNECTION, *self._defaults})
        self._common: list[Field] = []
        self._common_lines = b""
        self._common_closes = False
        self._all_lines = self._default_lines()  # after the common ones

    def write(self, status: int, common: list[Field], headers: Iterable[Field]) -> tuple[list[bytes], int | None, bool]:
        """The lines of a head, without the empty one that ends it, and what they say of the body and the connection:
        its length (CHUNKED, or None where no field tells), and whether the connection ends with it.

        ``common`` are fields of every answer: the server keeps the same list for a second, for the sake of the date,
        and adds ``Connection: close`` to it when it is about to stop.
        Raises RuntimeError for a name or a value that would break the head, KeyError for what is no status.
        """
        if common is not self._common:
            self._take(common)
        known = self._lines
        lines = [STATUS_LINE[status], self._all_lines]
        length, closes = None, self._common_closes
        replaced: tuple[bytes, ...] = ()
        changed = b""
        for name, value in headers:
            sent = known.get(name)
            if sent is None or sent[0] != value:
                if sent is not None and sent[0] is None:
                    lines += (sent[3], value, _END)
                    changed += value
                    continue
                sent = self._new_line(name, value)
            lines.append(sent[1])
            meaning = sent[2]
            if meaning is None:
                continue
            if meaning == _CLOSES:
                closes = True
            elif meaning == _REPLACES:
                replaced = (*replaced, sent[3])
            elif length is None or meaning == CHUNKED:
                length = meaning
        _check(changed)
        if replaced:
            lines[1] = self._common_lines + self._default_lines(replaced)
        return lines, length, closes

    def _take(self, common: list[Field]) -> None:
        written = [self._new_line(name, value) for name, value in common]
        self._common_lines = b"".join([line for _, line, _, _ in written])
        self._common_closes = any(meaning == _CLOSES for _, _, meaning, _ in written)
        self._all_lines = self._common_lines + self._default_lines()
        self._common = common

    def _default_lines(self, replaced: tuple[bytes, ...] = ()) -> bytes:
        kept = [each for each in self._defaults.items() if each[0] not in replaced]
        return b"".join([beginning + value + _END for beginning, value in kept])

    def _new_line(self, name: bytes, value: bytes) -> _Line:
        _check(value)
        sent = self._lines.get(name)
        beginning = self._beginning(name) if sent is None else sent[3]
        meaning = self._meaning(beginning, value) if beginning in self._meant else None
        line = value, beginning + value + _END, meaning, beginning
        self._lines[name] = line if sent is None or meaning is not None else (None, b"", None, beginning)
        return line

    def _beginning(self, name: bytes) -> bytes:
        if _NAME.fullmatch(name) is None:
            raise RuntimeError("Invalid HTTP header.")
        if len(self._lines) >= _MOST_NAMES:  # an application that makes names up
            self._lines.clear()
        return name.lower() + b": "

    def _meaning(self, beginning: bytes, value: bytes) -> int | None:
        if beginning in self._defaults:
            return _REPLACES
        if beginning == _LENGTH:
            return int(value)
        if beginning == _CODING:
            return CHUNKED if value.lower() == b"chunked" else None
        return _CLOSES if b"close" in [token.strip() for token in value.lower().split(b",")] else None


def _check(value: bytes) -> None:
    if value.translate(None, _IN_VALUES):
        raise RuntimeError("Invalid HTTP header.")
