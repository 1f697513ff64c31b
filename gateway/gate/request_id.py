"""Request ids: typed, sortable and cheap."""

import random
import time
from uuid import UUID

from tenants.identifiers import REQUEST, show

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)  # ten bits each
# Characters of five bits each: the whole id after the type, the time at its beginning, the counter at its end.
_LENGTH, _TIMED, _COUNTED = 26, 10, 4
_40_BITS = (1 << 40) - 1
_VERSION, _VARIANT = 7 << 76, 2 << 62  # RFC 9562 section 5.7


class RequestIds:
    """TypeIDs of UUIDv7s. The part with the time is formatted once for each millisecond.

    52 random bits distinguish workers, and one worker from itself after its clock was set back.
    """

    def __init__(self) -> None:
        self._randomize()
        self._millisecond = 0
        self._prefix = ""
        self._count = 0

    def next(self) -> str:
        """A new id, which appears only in the response and in the log."""
        millisecond = time.time_ns() // 1_000_000
        if millisecond != self._millisecond:
            self._start_millisecond(millisecond)
        count = self._count = self._count + 1
        return f"{self._prefix}{_PAIRS[count >> 10 & 1023]}{_PAIRS[count & 1023]}"

    def _randomize(self) -> None:
        # Ids need not be unpredictable.
        random_bits = random.getrandbits(52)
        number = _VERSION | random_bits >> 40 << 64 | _VARIANT | (random_bits & _40_BITS) << 20
        text = show(REQUEST, UUID(int=number))
        self._type, self._worker = text[:-_LENGTH], text[_TIMED - _LENGTH : -_COUNTED]

    def _start_millisecond(self, millisecond: int) -> None:
        if millisecond < self._millisecond:
            self._randomize()
        time_bits = "".join([_PAIRS[millisecond >> shift & 1023] for shift in (40, 30, 20, 10, 0)])
        self._prefix = f"{self._type}{time_bits}{self._worker}"
        self._millisecond, self._count = millisecond, 0
