"""Bounds what failed credentials cost: past a limit a source is refused before any hash or database work (TH4).

A credential that was good a moment ago still passes, so that a client behind the same address, or one that also sends
bad credentials, is not shut out. It is recognised by Python's keyed 64-bit hash of the header value, which reveals
nothing, grants nothing (the identity stage still decides) and is lost with the process.
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

    A generic cell rate algorithm: one number for each source, the time at which its failures are forgotten.
    At most ``capacity`` sources and as many good credentials are kept; the oldest is dropped first.
    """

    def __init__(
        self,
        *,
        failures: int = 100,
        seconds: float = 60.0,
        capacity: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval = seconds / failures
        self._window = seconds
        self._capacity = capacity
        self._clock = clock
        self.sources: dict[str, float] = {}  # when their failures are forgotten
        self._good: dict[int, None] = {}

    def check(self, source: str, sent: bytes) -> None:
        """Raise RateLimited if too many credentials of this source have failed, unless this one was good."""
        if hash(sent) in self._good:
            return
        forgotten_at = self.sources.get(source_bucket(source), 0.0)
        wait = forgotten_at + self._interval - self._clock() - self._window
        if wait > 0:
            raise RateLimited(
                "Too many failed credentials from this address. Retry after the number of seconds in the Retry-After"
                " header.",
                retry_after=math.ceil(wait),
            )

    def record_failure(self, source: str, sent: bytes) -> None:
        """Record a failed credential."""
        self._good.pop(hash(sent), None)
        bucket = source_bucket(source)
        until = max(self.sources.pop(bucket, 0.0), self._clock()) + self._interval
        _put(self.sources, bucket, until, self._capacity)

    def record_success(self, sent: bytes) -> None:
        """Record a good credential."""
        _put(self._good, hash(sent), None, self._capacity)


def _put(kept: dict[_Key, _Value], key: _Key, value: _Value, capacity: int) -> None:
    if key not in kept and len(kept) >= capacity:
        del kept[next(iter(kept))]
    kept[key] = value
