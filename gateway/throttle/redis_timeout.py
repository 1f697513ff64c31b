"""Distinguishes an unreachable Redis from a busy machine."""

import os
from pathlib import Path

_LATE_TICK = 0.002  # seconds: a tick that is later means that this process was not scheduled
_STARVED_FOR = 2.0  # seconds after a late tick for which the machine counts as starved
_STARVED_FACTOR = 10  # times the deadline on a starved machine, where Redis is not scheduled either
_RUNNING = Path("/proc/loadavg")  # proc_loadavg(5): the fourth field is running/existing threads; Linux only
_MAX_WAIT = 0.25  # seconds: no lack of processors explains a longer wait
_DEVIATIONS = 8  # deviations of the round trip time that are still normal
_MAX_DEADLINE = 0.05  # seconds

TICK = 0.001  # seconds


class RoundTripTimes:
    """Mean and deviation of the round trip time in seconds, as TCP estimates them (RFC 6298 section 2)."""

    __slots__ = ("_deviation", "_mean")

    def __init__(self) -> None:
        self._mean = 0.0
        self._deviation = 0.0

    def observe(self, seconds: float) -> None:
        """One round trip."""
        self._deviation += (abs(seconds - self._mean) - self._deviation) / 4
        self._mean += (seconds - self._mean) / 8

    def deadline(self, least: float) -> float:
        """Seconds to wait for a reply: ``least``, or more where Redis is known to take longer, up to 50 ms."""
        return max(least, min(self._mean + _DEVIATIONS * self._deviation, _MAX_DEADLINE))


class ResponseTimer:
    """How long a reply of Redis has been outstanding, in ticks of our own event loop.

    Ticks instead of time: when this process was not scheduled for a while, the reply may have arrived long ago, and a
    tick counts once however late it is. After a late tick, and while more threads run than there are processors, more
    ticks are required: a worker that enforces its own share while Redis still responds to the others could overshoot,
    and must not do so for a lack of processors alone (TH1).
    """

    __slots__ = ("_due", "_replies", "_since", "_starved_until", "_ticks")

    def __init__(self) -> None:
        self._ticks = 0
        self._due = 0.0
        self._starved_until = 0.0
        self._replies = 0
        self._since = 0.0  # the last reply, or the first call after it

    def start(self, now: float, first: float, replies: int) -> None:
        """A call was sent after ``replies`` replies. The first tick is due after ``first`` seconds, which count."""
        self._ticks = round(first / TICK) - 1
        self._due = now + first
        self._replies = replies
        self._since = now

    def tick(self, now: float, replies: int) -> None:
        """A tick, after ``replies`` replies in all."""
        if now - self._due > _LATE_TICK:
            self._starved_until = now + _STARVED_FOR
        if replies == self._replies:
            self._ticks += 1
        else:
            self._ticks, self._since, self._replies = 0, now, replies
        self._due = now + TICK

    def exceeds(self, deadline: float, now: float) -> bool:
        """The reply is overdue, even allowing for a busy machine."""
        waited = self._ticks * TICK
        if waited < deadline:
            return False
        if waited >= deadline * _STARVED_FACTOR or now - self._since >= _MAX_WAIT:
            return True
        return now >= self._starved_until and not _short_of_processors()


def _short_of_processors() -> bool:
    """More threads are runnable than there are processors."""
    if not _RUNNING.exists():
        return False
    running, _, _ = _RUNNING.read_text(encoding="ascii").split()[3].partition("/")
    return int(running) > (os.cpu_count() or 1)
