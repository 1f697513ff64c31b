"""Ids of requests: typed, sortable, and cheap, since every request needs one."""

import random
import time
from uuid import UUID

from tenants.identifiers import REQUEST, show

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)  # ten bits each
_COUNTED = 4  # characters, of five bits each: the lowest 20 bits are a counter
_40_BITS = (1 << 40) - 1
_VERSION, _VARIANT = 7 << 76, 2 << 62  # RFC 9562 section 5.7


class RequestIds:
    """TypeIDs of UUIDv7s. All but the counter is made once for each millisecond, in which some 20 requests end.

    52 random bits tell one worker's millisecond from another's.
    """

    def __init__(self) -> None:
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
        # Time, version, 12 random bits, variant, and 40 random bits before the counter. They need not be hard to guess,
        # and a system call for them would cost as much as the rest.
        drawn = random.getrandbits(52)
        number = millisecond << 80 | _VERSION | drawn >> 40 << 64 | _VARIANT | (drawn & _40_BITS) << 20
        self._millisecond, self._count = millisecond, 0
        self._begin = show(REQUEST, UUID(int=number))[:-_COUNTED]
