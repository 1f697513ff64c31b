"""Frames of one direction (RFC 6455 section 5): found by their headers, and passed on as they are.

No payload is read: masks stay, and text is checked by the ends. No extension is agreed on, so reserved bits are zero.
"""

import os
from enum import IntEnum

_CONTINUATION, _BINARY, _CLOSE, _PONG = 0x0, 0x2, 0x8, 0xA
_FIRST_CONTROL = 0x8
_FINAL, _RESERVED, _OPCODE, _MASKED, _LENGTH = 0x80, 0x70, 0x0F, 0x80, 0x7F
_MOST_CONTROL = 125  # bytes of payload, and of any frame with a length of one byte
_TWO_BYTES, _EIGHT_BYTES = 126, 127
_MASK_SIZE = 4
_MOST_AT_ONCE = 2_000  # frames: 3 ms; one read may have 130,000 empty ones (LD1)


class CloseCode(IntEnum):
    """RFC 6455 section 7.4.1 and the IANA registry of WebSocket close codes."""

    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    SERVICE_RESTART = 1012
    BAD_GATEWAY = 1014


class FrameError(Exception):
    """A frame that must not pass. ``before`` are the bytes in front of it, which may."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason  # a constant of ours
        self.before = b""


class FrameReader:
    """Finds the frames that one end sends."""

    __slots__ = (
        "_limit",
        "_mask_bit",
        "_message",
        "_open",
        "_partial",
        "behind",
        "closed",
        "frames",
        "left",
        "messages",
    )

    def __init__(self, *, masked: bool, limit: int) -> None:
        """``masked``: of a client, whose frames all are. ``limit`` is in bytes of a message, over its fragments."""
        self._mask_bit = _MASKED if masked else 0
        self._limit = limit
        self._partial = b""  # an incomplete header, or what is to be read later
        self.behind = False  # there are frames to be read later: call ``read(b"")``
        self._message = 0  # bytes of the current message
        self._open = False  # within a fragmented message
        self.left = 0  # bytes of the current frame that have not come yet
        self.closed = False  # a close frame has come: it is the last one
        self.frames = 0  # of messages
        self.messages = 0  # complete ones

    def read(self, data: bytes) -> bytes:
        """What of these bytes, and of those that were kept before, passes. It ends within a frame if ``left``.

        Raises FrameError.
        """
        if self.left >= len(data) and not self.behind:
            self.left -= len(data)
            return data
        if self._partial:
            data, self._partial = self._partial + data, b""
        at, self.left = self.left, 0
        size, count = len(data), 0
        while at < size and not self.closed and count < _MOST_AT_ONCE:
            count += 1
            try:
                end = self._end_of_frame(data, at)
            except FrameError as error:
                error.before = data[:at]
                raise
            if not end:
                break
            at = end
        self.behind = count == _MOST_AT_ONCE and at < size and not self.closed
        if not self.closed:
            self._partial = data[at:]
        if at > size:
            self.left = at - size
        return data if at >= size else data[:at]

    def _end_of_frame(self, data: bytes, at: int) -> int:
        """The offset after the frame that begins here; 0 while its header is incomplete."""
        size = len(data) - at
        if size < 2:  # noqa: PLR2004 - opcode and length
            return 0
        first, second = data[at], data[at + 1]
        length, header = second & _LENGTH, 2
        self._check_bits(first, second, length)
        if length > _MOST_CONTROL:
            header = 4 if length == _TWO_BYTES else 10
            if size < header:
                return 0
            length = _long_length(data[at + 2 : at + header])
        if second & _MASKED:
            header += _MASK_SIZE
        if size < header:
            return 0
        self._count(first, length)
        return at + header + length

    def _check_bits(self, first: int, second: int, length: int) -> None:
        opcode = first & _OPCODE
        if first & _RESERVED:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "reserved bits are set")
        if second & _MASKED != self._mask_bit:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "a client's frames must be masked, and a server's must not")
        if opcode >= _FIRST_CONTROL:
            if opcode > _PONG or length > _MOST_CONTROL or not first & _FINAL:
                raise FrameError(CloseCode.PROTOCOL_ERROR, "not a valid control frame")
            if opcode == _CLOSE and length == 1:
                raise FrameError(CloseCode.PROTOCOL_ERROR, "not a valid close code")
        elif opcode > _BINARY:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "the opcode is not known")
        elif (opcode == _CONTINUATION) != self._open:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "fragments of messages are mixed")

    def _count(self, first: int, length: int) -> None:
        if first & _OPCODE >= _FIRST_CONTROL:
            self.closed = first & _OPCODE == _CLOSE
            return
        self._message += length
        if self._message > self._limit:
            raise FrameError(CloseCode.MESSAGE_TOO_BIG, "the message is too big")
        self.frames += 1
        self._open = not first & _FINAL
        if not self._open:
            self.messages += 1
            self._message = 0


def _long_length(field: bytes) -> int:
    """RFC 6455 section 5.2: the shortest form, and at most 63 bits."""
    length = int.from_bytes(field)
    if length <= (_MOST_CONTROL if len(field) == 2 else 0xFFFF) or length >> 63:  # noqa: PLR2004
        raise FrameError(CloseCode.PROTOCOL_ERROR, "the length is not in its shortest form")
    return length


def close_frame(code: CloseCode, reason: str, *, masked: bool) -> bytes:
    """A close frame of ours. ``reason`` is at most 123 bytes of ASCII."""
    payload = code.to_bytes(2) + reason.encode("ascii")
    header = bytes((_FINAL | _CLOSE, (_MASKED if masked else 0) | len(payload)))
    if not masked:
        return header + payload
    mask = os.urandom(_MASK_SIZE)
    return header + mask + bytes(each ^ mask[at % _MASK_SIZE] for at, each in enumerate(payload))
