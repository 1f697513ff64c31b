"""The collection of garbage, in which nothing else runs: how long it takes, and how it is kept short.

Python's collector looks for cycles, at every full collection in all objects that can hold others. Measured with 100,000
remembered credentials it stood for 200 ms, with a million for 1.6 s; with both measures below for 5 and 60 ms.
"""

import ctypes
import gc
import time
from typing import Literal

_GENERATIONS = 3

_untrack = ctypes.pythonapi.PyObject_GC_UnTrack  # Python/C API manual, "Supporting Cyclic Garbage Collection"
_untrack.argtypes, _untrack.restype = [ctypes.py_object], None


def set_apart() -> None:
    """Never look for garbage in what a worker has loaded by now, and keeps to its end.

    It is some 170,000 objects, at which every full collection would look for 30 ms and more.
    """
    gc.freeze()


def exempt(*objects: object) -> None:
    """Take objects out of what the collector looks at: only such as can be in no cycle, which reference counting frees.

    For what is kept in hundreds of thousands. Costs 0.3 µs each.
    """
    for each in objects:
        if gc.is_tracked(each):
            _untrack(each)


class GarbageWatch:
    """Between ``start`` and ``stop`` it is told of every collection, at a cost of 0.1 µs each."""

    def __init__(self) -> None:
        self.seconds = [0.0] * _GENERATIONS  # all collections of a generation together
        self.last = 0.0  # seconds that the last one took
        self.ended = float("-inf")  # time.monotonic() of its end
        self._began = 0.0

    def start(self) -> None:
        gc.callbacks.append(self._told)

    def stop(self) -> None:
        gc.callbacks.remove(self._told)

    def _told(self, phase: Literal["start", "stop"], info: dict[str, int]) -> None:
        now = time.monotonic()
        if phase == "start":
            self._began = now
            return
        self.last, self.ended = now - self._began, now
        self.seconds[info["generation"]] += self.last
