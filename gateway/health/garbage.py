"""Garbage collection, which stops everything else in the process: how long it takes, and how it is kept short.

A full collection visits every container object. The objects that a worker has loaded at its start, some 170,000, cost
30 ms and more each time; 100,000 cached principals cost 40 ms more. Both are moved to the permanent generation, which
the collector does not visit: the former at the start, the latter after the first full collection that they made slow.
Measured while 100,000 principals were cached: the longest automatic collection took 37 ms without this and 8 ms with
it, and a full collection afterwards 2 ms.
"""

import gc
import time
from typing import Literal

_GENERATIONS = 3
_OLDEST = _GENERATIONS - 1
_SLOW = 0.005  # seconds of CPU time: a full collection that takes longer visits many long-lived objects


def freeze_startup_objects() -> None:
    """Exclude the objects of the start-up, which live as long as the process, from all collections.

    They are about 170,000, and would add 30 ms to every full collection.
    """
    gc.freeze()


class GarbageWatch:
    """Measures every collection between ``start`` and ``stop``, and freezes the survivors of slow full collections.

    Reference counting still frees frozen objects. Only those that become part of a reference cycle later are never
    freed: at most what the requests in flight held at that moment. It happens about once for each 15,000 new
    principals.
    """

    def __init__(self) -> None:
        self.seconds = [0.0] * _GENERATIONS  # total, by generation
        self.last = 0.0  # duration of the last collection
        self.ended = float("-inf")  # time.monotonic() at its end
        self._started = 0.0
        self._cpu_started = 0.0

    def start(self) -> None:
        gc.callbacks.append(self._on_collection)

    def stop(self) -> None:
        gc.callbacks.remove(self._on_collection)

    def _on_collection(self, phase: Literal["start", "stop"], info: dict[str, int]) -> None:
        now, generation = time.monotonic(), info["generation"]
        if phase == "start":
            self._started, self._cpu_started = now, time.thread_time()
            return
        self.last, self.ended = now - self._started, now
        self.seconds[generation] += self.last
        if generation == _OLDEST and time.thread_time() - self._cpu_started > _SLOW:
            gc.freeze()
