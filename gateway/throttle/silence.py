"""When Redis's silence means that it is gone, and when only that the machine is busy."""

import os
from pathlib import Path

_TICK_LATE = 0.002  # seconds that a tick is late when this process did not get its turn
_STARVED = 2.0  # seconds after such a stall in which the machine is taken for starved
_PATIENCE = 10  # times the deadline on a starved machine: there Redis does not get its turn either
_RUNNING = Path("/proc/loadavg")  # proc_loadavg(5): the fourth field is running/existing threads; Linux only
_AT_MOST = 0.25  # seconds after which no crowd for the processors explains it
_SPREAD = 8  # deviations of the round trip that are still no silence
_LONGEST_DEADLINE = 0.05  # seconds

TICK = 0.001  # seconds


class RoundTrips:
    """Mean and deviation of the seconds that Redis takes, as TCP keeps them (RFC 6298 section 2)."""

    __slots__ = ("_deviation", "_mean")

    def __init__(self) -> None:
        self._mean = 0.0
        self._deviation = 0.0

    def saw(self, seconds: float) -> None:
        """One round trip."""
        self._deviation += (abs(seconds - self._mean) - self._deviation) / 4
        self._mean += (seconds - self._mean) / 8

    def longest(self, least: float) -> float:
        """Seconds that an answer may take: ``least``, or more where Redis is known to take longer, up to 50 ms."""
        return max(least, min(self._mean + _SPREAD * self._deviation, _LONGEST_DEADLINE))


class Silence:
    """How long Redis has owed an answer, in ticks of our own loop.

    In ticks, not in time: when this process itself had no turn for a while, the answer may have come long since, and a
    tick however late counts once. After such a stall, and while more threads run than there are processors, more ticks
    are asked for: a worker that counts by itself while Redis still answers the others could overshoot, and must not
    where only processors are short (TH1).
    """

    __slots__ = ("_answers", "_due", "_since", "_starved_until", "_ticks")

    def __init__(self) -> None:
        self._ticks = 0
        self._due = 0.0
        self._starved_until = 0.0
        self._answers = 0
        self._since = 0.0  # the last answer, or the first call after it

    def begin(self, now: float, first: float, answers: int) -> None:
        """A call was sent after ``answers`` answers; the first tick is due after ``first`` seconds, which count."""
        self._ticks = round(first / TICK) - 1
        self._due = now + first
        self._answers = answers
        self._since = now

    def tick(self, now: float, answers: int) -> None:
        """A tick has come; so many answers have been read by now."""
        if now - self._due > _TICK_LATE:
            self._starved_until = now + _STARVED
        if answers == self._answers:
            self._ticks += 1
        else:
            self._ticks, self._since, self._answers = 0, now, answers
        self._due = now + TICK

    def longer_than(self, deadline: float, now: float) -> bool:
        """It has lasted, whatever the machine is busy with."""
        lasted = self._ticks * TICK
        if lasted < deadline:
            return False
        if lasted >= deadline * _PATIENCE or now - self._since >= _AT_MOST:
            return True
        return now >= self._starved_until and not _short_of_processors()


def _short_of_processors() -> bool:
    """More threads want to run at this moment than can."""
    if not _RUNNING.exists():
        return False
    running, _, _ = _RUNNING.read_text(encoding="ascii").split()[3].partition("/")
    return int(running) > (os.cpu_count() or 1)
