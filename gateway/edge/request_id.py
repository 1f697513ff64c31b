"""Ids of requests: typed, sortable, and cheap, since every request needs one."""

import random
import time
from uuid import UUID

from tenants.identifiers import REQUEST, show

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)  # ten bits each
_LENGTH, _TIMED, _COUNTED = (
    26,
    10,
    4,
)  # characters, of five bits each: of them all, of the time, of a counter at the end
_40_BITS = (1 << 40) - 1
_VERSION, _VARIANT = 7 << 76, 2 << 62  # RFC 9562 section 5.7


class RequestIds:
    """TypeIDs of UUIDv7s. Only the time is written anew for each millisecond, in which some 20 requests end.

    52 random bits tell one worker from another. They need not be hard to guess.
    """

    def __init__(self) -> None:
        drawn = random.getrandbits(52)
        number = _VERSION | drawn >> 40 << 64 | _VARIANT | (drawn & _40_BITS) << 20
        text = show(REQUEST, UUID(int=number))
        self._type, self._worker = text[:-_LENGTH], text[_TIMED - _LENGTH : -_COUNTED]
        self._millisecond = 0
        self._begin = ""
        self._count = 0

    def next(self) -> str:
        """An id that is kept nowhere but in the answer and in the log."""
        millisecond = time.time_ns() // 1_000_000
        if millisecond != self._millisecond:
            self._turn(millisecond)
        count = self._count = self._count + 1
        return f"{self._begin}{_PAIRS[count >> 10 & 1023]}{_PAIRS[count & 1023]}"

    def _turn(self, millisecond: int) -> None:
        time_bits = "".join([_PAIRS[millisecond >> shift & 1023] for shift in (40, 30, 20, 10, 0)])
        self._begin = f"{self._type}{time_bits}{self._worker}"
        self._millisecond, self._count = millisecond, 0
