"""Limits on how long a client may stall a connection, and one coarse timer that enforces them (PX8)."""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gateway.http1.sockets import max_connections

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Limits:
    """Timeouts in seconds and sizes in bytes. A timeout is noticed up to ``sweep`` seconds late."""

    sweep: float = 1.0
    first_byte: float = 10.0  # of a new connection
    head: float = 9.0  # from its first byte to its last: ten seconds with a sweep
    grace: float = 10.0  # of a body, or of a response that waits for its reader, beyond the time at the minimum rate
    min_rate: int = 32_768  # bytes a second, over the whole body or all waiting: a quarter of a megabit
    drain: float = 5.0  # after an error response, while the client may still be sending
    max_drained: int = 1_048_576
    max_connections: int = field(default_factory=max_connections)


class IdleTimeouts(Generic[Key]):
    """One deadline per key. ``on_timeout`` is called with each key whose deadline has passed, and may set a new one.

    One sweep a second checks all deadlines: about 100 µs for 2,000 keys, and setting a deadline costs a quarter of a
    timer. When many deadlines pass at once, each turn of the event loop handles one, so that requests are not delayed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_timeout: Callable[[Key], None], sweep: float) -> None:
        self._loop = loop
        self._on_timeout = on_timeout
        self._interval = sweep
        self._deadlines: dict[Key, float] = {}
        self._expired: deque[Key] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, key: Key, seconds: float) -> None:
        """Start a timeout for ``key``, replacing the one that it has."""
        self._deadlines[key] = self._loop.time() + seconds
        if self._timer is None:
            self._timer = self._loop.call_later(self._interval, self._sweep)

    def cancel(self, key: Key) -> None:
        """Remove the timeout of ``key``, if it has one."""
        self._deadlines.pop(key, None)

    def oldest(self) -> Key | None:
        """The key whose first timeout was set the longest ago."""
        return next(iter(self._deadlines), None)

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(self._interval, self._sweep) if self._deadlines else None
        now = self._loop.time()
        already_scheduled = bool(self._expired)
        self._expired = deque(key for key, deadline in self._deadlines.items() if deadline <= now)
        if self._expired and not already_scheduled:
            self._expire_next()

    def _expire_next(self) -> None:
        if not self._expired:
            return
        key = self._expired.popleft()
        if self._expired:  # scheduled first: an exception for this key must not cancel the timeouts of the others
            self._loop.call_soon(self._expire_next)
        if self._deadlines.get(key, math.inf) <= self._loop.time():
            del self._deadlines[key]
            self._on_timeout(key)
