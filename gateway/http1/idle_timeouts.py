"""How long each connection may keep us waiting: one coarse timer for all of them, not one timer for each (PX8)."""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Waiting = TypeVar("Waiting")


class Patience(Generic[Waiting]):
    """Deadlines of those that are waited for. ``ends`` is called for each that passes its own, and may set another.

    A sweep over two thousand takes some 100 µs a second, and to set a deadline costs a quarter of a timer. Where many
    have passed at once, they end one in each turn of the loop, so that requests of others wait for no more than one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ends: Callable[[Waiting], None], sweep: float) -> None:
        self._loop = loop
        self._ends = ends
        self._seconds = sweep  # between sweeps: a deadline is noticed by so much late
        self._deadlines: dict[Waiting, float] = {}
        self._late: deque[Waiting] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def wait(self, one: Waiting, seconds: float) -> None:
        """Wait for ``one`` no longer than this, whatever it was given before."""
        self._deadlines[one] = self._loop.time() + seconds
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._sweep)

    def forget(self, one: Waiting) -> None:
        """It came, or it went."""
        self._deadlines.pop(one, None)

    def oldest(self) -> Waiting | None:
        """Who is waited for the longest."""
        return next(iter(self._deadlines), None)

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(self._seconds, self._sweep) if self._deadlines else None
        now = self._loop.time()
        ending = bool(self._late)
        self._late = deque(one for one, deadline in self._deadlines.items() if deadline <= now)
        if self._late and not ending:
            self._end_next()

    def _end_next(self) -> None:
        if not self._late:
            return
        one = self._late.popleft()
        if self._late:  # first, since a fault at one connection must not leave the others without an end
            self._loop.call_soon(self._end_next)
        if self._deadlines.get(one, math.inf) <= self._loop.time():
            del self._deadlines[one]
            self._ends(one)
