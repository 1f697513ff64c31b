"""Bytes that clients make this process hold: unfinished requests and undelivered responses (LD2).

They are bounded over the process and for each source. Beyond a bound those with the most byte-seconds are shed first:
slow senders of large bodies, not a small request that has just arrived.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from tenants.errors import Unavailable

_RELIEF = 64  # at a bound, this fraction of it is freed at once: finding the worst holders takes time


class MemoryShort(Unavailable):
    """The request is held in memory, and others need it more."""

    message = "Too much of unfinished requests is held in memory. Retry, and send the request without pauses."


class Holder(Protocol):
    """A connection or a delivery."""

    def shed(self) -> None:
        """Free what is held, if it can be freed before the request ends."""


@dataclass(slots=True)
class _Held:
    source: str | None
    since: float  # seconds, monotonic
    size: int = 0  # bytes


class HeldMemory:
    """One per process. ``limit`` and ``source_limit`` are in bytes."""

    def __init__(self, limit: int, source_limit: int, clock: Callable[[], float] = monotonic) -> None:
        self._limit = limit
        self._source_limit = source_limit
        self._clock = clock
        self._held: dict[Holder, _Held] = {}
        self._of_sources: dict[str, int] = {}
        self.total = 0

    def hold(self, holder: Holder, size: int, source: str | None) -> None:
        """``holder`` holds ``size`` bytes from now on. ``source`` counts until it holds none; None counts for none.

        May call ``shed`` of any holder, this one too.
        """
        held = self._held.get(holder)
        if held is None:
            if not size:
                return
            held = self._held[holder] = _Held(source, self._clock())
        change = size - held.size
        held.size = size
        self.total += change
        if held.source is not None:
            self._of_sources[held.source] = self._of_sources.get(held.source, 0) + change
        if not size:
            self._forget(holder, held)
        elif change > 0:
            self._relieve(held.source)

    def of(self, source: str) -> int:
        """The bytes that one source's requests hold."""
        return self._of_sources.get(source, 0)

    def _forget(self, holder: Holder, held: _Held) -> None:
        del self._held[holder]
        if held.source is not None and not self._of_sources[held.source]:
            del self._of_sources[held.source]

    def _relieve(self, source: str | None) -> None:
        if source is not None and self.of(source) > self._source_limit:
            own = {holder: held for holder, held in self._held.items() if held.source == source}
            self._free(own, lambda: self.of(source), self._source_limit)
        if self.total > self._limit:
            self._free(self._held, lambda: self.total, self._limit)

    def _free(self, holders: dict[Holder, _Held], held_now: Callable[[], int], limit: int) -> None:
        now = self._clock()
        worst_first = sorted(holders, key=lambda each: holders[each].size * (holders[each].since - now))
        for holder in worst_first:
            if held_now() <= limit - limit // _RELIEF:
                return
            holder.shed()
