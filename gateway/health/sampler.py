"""Samples the stack of a blocked event loop, from another thread."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

_INTERVAL = 0.05  # seconds
_THRESHOLD = 0.06  # seconds without a heartbeat before a sample is taken
_MAX_DEPTH = 12  # frames, from the innermost
_PATH_PARTS = 3  # of a file name


class StackSampler:
    """Samples the thread that started it whenever ``heartbeat`` (a time of the monotonic clock) is too old.

    A sample has files, lines and function names, and never a value (SE2).
    """

    def __init__(self, heartbeat: Callable[[], float]) -> None:
        self._heartbeat = heartbeat
        self._sample = ""
        self._sample_heartbeat = 0.0
        self._stopped = threading.Event()
        self._thread_id = 0
        self._thread = threading.Thread(target=self._run, name="loop-sampler", daemon=True)

    def start(self) -> None:
        """Sample the calling thread."""
        self._thread_id = threading.get_ident()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def sample_after(self, heartbeat: float) -> str:
        """The call stack after that heartbeat, innermost first; empty if no sample could be taken."""
        return self._sample if self._sample_heartbeat == heartbeat else ""

    def _run(self) -> None:
        while not self._stopped.wait(_INTERVAL):
            heartbeat = self._heartbeat()
            if time.monotonic() - heartbeat > _THRESHOLD and heartbeat != self._sample_heartbeat:
                frame = sys._current_frames().get(self._thread_id)  # noqa: SLF001 - the documented way to get another thread's frame
                self._sample, self._sample_heartbeat = " < ".join(_calls(frame)), heartbeat


def _calls(frame: FrameType | None) -> Iterator[str]:
    for _ in range(_MAX_DEPTH):
        if frame is None:
            return
        file = "/".join(frame.f_code.co_filename.split("/")[-_PATH_PARTS:])
        yield f"{file}:{frame.f_lineno} {frame.f_code.co_qualname}"
        frame = frame.f_back
