"""Where the event loop is while it does not turn: seen from another thread, since the loop's own cannot look."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

_LOOK_EVERY = 0.05  # seconds
_LATE = 0.06  # seconds without a beat after which it looks
_DEEPEST = 12  # calls, from the innermost
_PARTS = 3  # of a path


class StackSampler:
    """Looks at the thread that started it, whenever ``beat`` (a moment of the monotonic clock) lies too far back.

    What it keeps are files, lines and names of functions: never a value (SE2).
    """

    def __init__(self, beat: Callable[[], float]) -> None:
        self._beat = beat
        self._seen = ""
        self._seen_after = 0.0
        self._ended = threading.Event()
        self._watched = 0
        self._thread = threading.Thread(target=self._run, name="loop-sampler", daemon=True)

    def start(self) -> None:
        """Watch the thread that calls."""
        self._watched = threading.get_ident()
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def seen_after(self, beat: float) -> str:
        """The calls that were under way after that beat, the innermost first; nothing when nobody could look."""
        return self._seen if self._seen_after == beat else ""

    def _run(self) -> None:
        while not self._ended.wait(_LOOK_EVERY):
            beat = self._beat()
            if time.monotonic() - beat > _LATE and beat != self._seen_after:
                frame = sys._current_frames().get(self._watched)  # noqa: SLF001 - documented, and the only way
                self._seen, self._seen_after = " < ".join(_calls(frame)), beat


def _calls(frame: FrameType | None) -> Iterator[str]:
    for _ in range(_DEEPEST):
        if frame is None:
            return
        file = "/".join(frame.f_code.co_filename.split("/")[-_PARTS:])
        yield f"{file}:{frame.f_lineno} {frame.f_code.co_qualname}"
        frame = frame.f_back
