"""Ticks on the event loop: a tick that comes late tells for how long nothing else could run.

An event loop that is held up for 100 ms holds up every request of its worker for that long. It is counted, and a line
in the log says for how long and, where that could be seen, by what.
"""

import asyncio
import time
from bisect import bisect_left
from enum import StrEnum

import structlog

from gateway.health.garbage import GarbageWatch
from gateway.health.sampler import StackSampler

BLOCKED = 0.1  # seconds
BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)  # seconds, of the buckets of ``late``
_TICK = 0.01  # seconds; a hold-up that begins with a tick is seen that much shorter than it was
_SAY_EVERY = 10.0  # seconds between two lines in the log
_MOSTLY = 0.5

_log = structlog.get_logger(__name__)


class Cause(StrEnum):
    """What the loop's thread did instead."""

    COMPUTING = "computing"  # it used a processor for 100 ms and more
    WAITING = "waiting"  # it waited in a call that should not be made there, or the machine gave it no processor


class LoopWatch:
    """One per worker, started and stopped on its event loop."""

    def __init__(self) -> None:
        self.late = [0] * (len(BOUNDS) + 1)  # ticks, by how late they came
        self.late_seconds = 0.0  # all together
        self.blocks = dict.fromkeys(Cause, 0)  # of 100 ms and more
        self.garbage = GarbageWatch()
        self._sampler = StackSampler(lambda: self._beat)
        self._beat = 0.0
        self._used = 0.0  # processor seconds of the loop's thread at the last beat
        self._tick: asyncio.TimerHandle | None = None
        self._said_at = float("-inf")
        self._unsaid = 0

    def start(self) -> None:
        self.garbage.start()
        self._rest()
        self._sampler.start()

    def stop(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
        self._sampler.stop()
        self.garbage.stop()

    def _rest(self) -> None:
        self._used, self._beat = time.thread_time(), time.monotonic()
        self._tick = asyncio.get_running_loop().call_later(_TICK, self._beaten)

    def _beaten(self) -> None:
        late = max(0.0, time.monotonic() - self._beat - _TICK)
        self.late[bisect_left(BOUNDS, late)] += 1
        self.late_seconds += late
        if late >= BLOCKED:
            self._blocked(late)
        self._rest()

    def _blocked(self, seconds: float) -> None:
        cause = Cause.COMPUTING if time.thread_time() - self._used >= BLOCKED else Cause.WAITING
        self.blocks[cause] += 1
        if time.monotonic() - self._said_at < _SAY_EVERY:
            self._unsaid += 1
            return
        _log.warning(
            "event_loop_blocked",
            seconds=round(seconds, 3),
            cause=cause,
            where=self._where(seconds),
            others_before=self._unsaid,
        )
        self._said_at, self._unsaid = time.monotonic(), 0

    def _where(self, seconds: float) -> str:
        if self.garbage.ended > self._beat and self.garbage.last >= seconds * _MOSTLY:
            return "collection of garbage"
        return self._sampler.seen_after(self._beat) or "not seen: in a call that let no other thread run"
