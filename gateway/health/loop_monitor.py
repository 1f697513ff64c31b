"""Event loop lag: a timer that fires late shows for how long the loop was blocked.

A loop that is blocked for 100 ms delays every request of its worker by as much. Such stalls are counted, and a log line
tells their duration and, if known, their cause.
"""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable
from enum import StrEnum

import structlog

from gateway.health.garbage import GarbageWatch
from gateway.health.sampler import StackSampler

STALL = 0.1  # seconds
BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)  # seconds: histogram buckets of the lag
_INTERVAL = 0.01  # seconds between heartbeats; a measured lag is up to this much too short
_LOG_INTERVAL = 10.0  # seconds between two log lines
_MAIN_SHARE = 0.5  # of a stall, from which a garbage collection is named as its cause

_log = structlog.get_logger(__name__)


class Cause(StrEnum):
    """What the loop's thread did during a stall."""

    COMPUTING = "computing"  # it used 100 ms or more of CPU time
    WAITING = "waiting"  # it was in a blocking call, or got no CPU


class LoopMonitor:
    """One per worker, started and stopped on its event loop. ``in_flight`` is its number of requests in flight."""

    def __init__(self, in_flight: Callable[[], int] = lambda: 0) -> None:
        self._in_flight = in_flight
        self.lag_counts = [0] * (len(BOUNDS) + 1)  # heartbeats per bucket
        self.lag_seconds = 0.0  # total
        self.stalls = dict.fromkeys(Cause, 0)
        self.garbage = GarbageWatch()
        self._sampler = StackSampler(lambda: self._heartbeat)
        self._heartbeat = 0.0  # time.monotonic()
        self._cpu_time = 0.0  # of the loop's thread, at the last heartbeat
        self._timer: asyncio.TimerHandle | None = None
        self._logged_at = float("-inf")
        self._unlogged = 0

    def start(self) -> None:
        self.garbage.start()
        self._schedule()
        self._sampler.start()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._sampler.stop()
        self.garbage.stop()

    def _schedule(self) -> None:
        self._cpu_time, self._heartbeat = time.thread_time(), time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(_INTERVAL, self._on_heartbeat)

    def _on_heartbeat(self) -> None:
        lag = max(0.0, time.monotonic() - self._heartbeat - _INTERVAL)
        self.lag_counts[bisect_left(BOUNDS, lag)] += 1
        self.lag_seconds += lag
        if lag >= STALL:
            self._on_stall(lag)
        self._schedule()
        self.garbage.collect_if_due(idle=not self._in_flight())

    def _on_stall(self, seconds: float) -> None:
        cause = Cause.COMPUTING if time.thread_time() - self._cpu_time >= STALL else Cause.WAITING
        self.stalls[cause] += 1
        if time.monotonic() - self._logged_at < _LOG_INTERVAL:
            self._unlogged += 1
            return
        _log.warning(
            "event_loop_blocked",
            seconds=round(seconds, 3),
            cause=cause,
            where=self._where(seconds),
            unlogged_stalls=self._unlogged,
        )
        self._logged_at, self._unlogged = time.monotonic(), 0

    def _where(self, seconds: float) -> str:
        if self.garbage.ended > self._heartbeat and self.garbage.last >= seconds * _MAIN_SHARE:
            return "garbage collection"
        return self._sampler.sample_after(self._heartbeat) or "unknown: in a call that held the interpreter lock"
