"""Failed credentials cost the sender: past a bound, a source is refused before any hash or database work (TH4).

Credentials that were good a moment ago still pass, so that a neighbour behind the same address, or a client that also
sends bad ones, is not shut out. They are recognised by Python's keyed 64-bit hash of what was sent, which says nothing
of it, grants nothing (identity still decides), and is forgotten with the process.
"""

import math
import time
from collections.abc import Callable
from typing import TypeVar

from gateway.request.source import source_bucket
from gateway.throttle.errors import RateLimited

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class FailedCredentials:
    """Allows ``failures`` failed credentials in any ``seconds`` to each source; then raises RateLimited.

    A generic cell rate algorithm: one number for each source, the time at which its failures will be forgotten.
    At most ``remembered`` sources and as many good credentials are kept, the oldest forgotten first.
    """

    def __init__(
        self,
        *,
        failures: int = 100,
        seconds: float = 60.0,
        remembered: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval = seconds / failures
        self._window = seconds
        self._remembered = remembered
        self._clock = clock
        self.sources: dict[str, float] = {}  # and when their failures will be forgotten
        self._good: dict[int, None] = {}

    def refuse_repeated(self, source: str, sent: bytes) -> None:
        """Raise RateLimited when too many credentials from this source have failed, unless this one was good."""
        if hash(sent) in self._good:
            return
        forgotten_at = self.sources.get(source_bucket(source), 0.0)
        room_in = forgotten_at + self._interval - self._clock() - self._window
        if room_in > 0:
            raise RateLimited("Too many failed credentials from this address.", retry_after=math.ceil(room_in))

    def count(self, source: str, sent: bytes) -> None:
        """Remember that this credential has failed."""
        self._good.pop(hash(sent), None)
        bucket = source_bucket(source)
        until = max(self.sources.pop(bucket, 0.0), self._clock()) + self._interval
        _keep(self.sources, bucket, until, self._remembered)

    def clear(self, sent: bytes) -> None:
        """Remember that this credential is good."""
        _keep(self._good, hash(sent), None, self._remembered)


def _keep(kept: dict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    if key not in kept and len(kept) >= most:
        del kept[next(iter(kept))]
    kept[key] = value
