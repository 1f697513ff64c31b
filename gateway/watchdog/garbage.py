"""How long the collection of garbage takes, in which nothing else runs."""

import gc
import time
from typing import Literal

_GENERATIONS = 3


def set_apart() -> None:
    """Never look for garbage in what a worker has loaded by now, and keeps to its end.

    It is some 170,000 objects, at which every full collection would look for 30 ms and more.
    """
    gc.freeze()


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
