"""Garbage collection, which stops everything else in the process: what it visits, when it runs, and how long it takes.

A full collection visits every container object that is not frozen (in the permanent generation): 170,000 that a worker
has loaded at its start cost 30 ms, and 100,000 cached principals as much again. CPython starts one by itself, in the
middle of a request. Here it does not: the objects of the start-up are frozen, the event loop runs full collections
between requests, early enough that few objects are to be visited, and what has become many is frozen.

Measured while 100,000 principals were cached, with the start-up frozen: the longest collection took 21 ms of CPU time
with CPython's own schedule and takes 7 ms with this one.
See docs/decisions/0026-collect-garbage-between-requests.md.
"""

import gc
import time
from typing import Literal

_GENERATIONS = 3
_MIDDLE, _OLDEST = 1, 2
_YOUNG = (700, 10)  # CPython 3.13 raises the first to 2,000, and with it what one collection visits
_NEVER = 2**31 - 1  # collections of the middle generation until CPython starts a full one
_DEFAULTS = gc.get_threshold()
# Collections of the middle generation, each of which leaves at most some 7,700 objects more for the next full one.
_DUE, _OVERDUE = 2, 4  # until a full one runs when no request is in flight, and until it runs in any case
_SLOW = 0.003  # seconds of CPU time: a full collection that takes longer visits many long-lived objects
_QUIET, _MANY_TIMES = 60.0, 8  # seconds without a request until frozen objects are collected, if frozen so often


class GarbageWatch:
    """Measures every collection between ``start`` and ``stop``; runs the full ones from ``take_over`` on.

    Reference counting still frees frozen objects. Only those that become part of a reference cycle later are not freed:
    at most what the requests in flight held when a slow collection froze its survivors, about once for each 15,000 new
    principals. When that has happened several times, the next quiet time of the worker collects those too.
    """

    def __init__(self) -> None:
        self.seconds = [0.0] * _GENERATIONS  # total, by generation
        self.longest = [0.0] * _GENERATIONS  # seconds of CPU time, which other processes cannot prolong
        self.last = 0.0  # duration of the last collection
        self.ended = float("-inf")  # time.monotonic() at its end
        self._runs = False
        self._middle = 0  # collections of the middle generation since the last full one
        self._frozen = 0  # slow full collections since frozen objects were collected
        self._busy_at = time.monotonic()  # when a request was last seen in flight
        self._started = 0.0
        self._cpu_started = 0.0

    def start(self) -> None:
        gc.callbacks.append(self._on_collection)

    def take_over(self) -> None:
        """Freeze the objects of the start-up, which live as long as the process; from now on, run full collections."""
        gc.freeze()
        # CPython 3.14.0 to 3.14.4, which collect in increments, ignore the third.
        gc.set_threshold(*_YOUNG, _NEVER)
        self.longest = [0.0] * _GENERATIONS
        self._middle, self._runs = 0, True

    def stop(self) -> None:
        gc.callbacks.remove(self._on_collection)
        gc.set_threshold(*_DEFAULTS)

    def collect_if_due(self, *, idle: bool) -> None:
        """Run a full collection if there is reason to, preferably when the process is ``idle``: no request in flight.

        Called about every 10 ms, from the event loop.
        """
        if not self._runs:
            return
        if self._middle >= (_DUE if idle else _OVERDUE):
            gc.collect()
        if not idle:
            self._busy_at = time.monotonic()
        elif self._frozen >= _MANY_TIMES and time.monotonic() - self._busy_at > _QUIET:
            self._collect_frozen()

    def _collect_frozen(self) -> None:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._frozen = 0

    def _on_collection(self, phase: Literal["start", "stop"], info: dict[str, int]) -> None:
        now, generation = time.monotonic(), info["generation"]
        if phase == "start":
            self._started, self._cpu_started = now, time.thread_time()
            return
        self.last, self.ended = now - self._started, now
        self.seconds[generation] += self.last
        used = time.thread_time() - self._cpu_started
        self.longest[generation] = max(self.longest[generation], used)
        if generation == _MIDDLE:
            self._middle += 1
        elif generation == _OLDEST:
            self._middle = 0
            if used > _SLOW:
                gc.freeze()
                self._frozen += 1
