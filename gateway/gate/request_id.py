"""Ids of requests: typed, sortable, and cheap, since every request needs one."""

import random
import time
from uuid import UUID

from tenants.identifiers import REQUEST, show

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)  # ten bits each
# Characters, of five bits each: of all that follows the type, of the time at its beginning, of a counter at its end.
_LENGTH, _TIMED, _COUNTED = 26, 10, 4
_40_BITS = (1 << 40) - 1
_VERSION, _VARIANT = 7 << 76, 2 << 62  # RFC 9562 section 5.7


class RequestIds:
    """TypeIDs of UUIDv7s. Only the time is written anew for each millisecond, in which some 20 requests end.

    52 random bits tell one worker from another, and one from itself after its clock was set back.
    """

    def __init__(self) -> None:
        self._draw()
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

    def _draw(self) -> None:
        # They need not be hard to guess.
        drawn = random.getrandbits(52)
        number = _VERSION | drawn >> 40 << 64 | _VARIANT | (drawn & _40_BITS) << 20
        text = show(REQUEST, UUID(int=number))
        self._type, self._worker = text[:-_LENGTH], text[_TIMED - _LENGTH : -_COUNTED]

    def _turn(self, millisecond: int) -> None:
        if millisecond < self._millisecond:
            self._draw()
        time_bits = "".join([_PAIRS[millisecond >> shift & 1023] for shift in (40, 30, 20, 10, 0)])
        self._begin = f"{self._type}{time_bits}{self._worker}"
        self._millisecond, self._count = millisecond, 0
