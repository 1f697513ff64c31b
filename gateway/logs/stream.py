"""Where log lines go without anybody waiting for them.

A pipe takes 64 KB, and then whoever writes waits for whoever reads: a collector of logs that stands still would stop
the event loop, and with it every request. So what cannot be written at once is left to a thread; what finds no room
there is dropped, and counted.
"""

import atexit
import io
import os
import select
import sys
import threading
from collections import deque
from functools import cache

import orjson

_AT_ONCE = 4096  # bytes that a pipe takes whole when it is ready (PIPE_BUF, pipe(7)); a socket has more room then
_LAST_WORDS = 2.0  # seconds
_MOST = 20_000  # pieces that wait, most of them a line of some 300 bytes


class LogStream(io.TextIOBase):
    """Writes to a file descriptor, in order. Takes text and bytes, and is its own ``buffer``."""

    def __init__(self, descriptor: int, most: int = _MOST) -> None:
        self._descriptor = descriptor
        self._most = most
        self._dropped = 0
        self._late: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._writer: threading.Thread | None = None  # there while something is late
        self._ready = select.poll()
        self._ready.register(descriptor, select.POLLOUT)

    @property
    def buffer(self) -> "LogStream":
        return self

    def write(self, piece: str | bytes) -> int:
        """Returns at once."""
        data = piece if isinstance(piece, bytes) else piece.encode(errors="backslashreplace")
        with self._lock:
            if self._writer is None and len(data) <= _AT_ONCE and self._ready.poll(0):
                self._put(data)
            elif len(self._late) < self._most:
                self._leave(data)
            else:
                self._dropped += 1
        return len(piece)

    def flush(self) -> None:
        """Nothing: whoever logs flushes after each line, and is not to wait."""

    def drain(self, seconds: float) -> bool:
        """Wait until everything so far is written; whether it was."""
        with self._changed:
            return self._changed.wait_for(lambda: self._writer is None, seconds)

    def _leave(self, data: bytes) -> None:
        self._late.append(data)
        if self._writer is None:
            self._writer = threading.Thread(target=self._catch_up, name="log-writer", daemon=True)
            self._writer.start()

    def _catch_up(self) -> None:
        while (data := self._next()) is not None:
            self._put(data)

    def _next(self) -> bytes | None:
        with self._changed:
            if self._late:
                return self._late.popleft()
            if self._dropped:
                return self._notice()
            self._writer = None
            self._changed.notify_all()
            return None

    def _put(self, data: bytes) -> None:
        # Past Python's own buffers: a thread that waits with the lock of one would keep the process from ending.
        try:
            while data := data[os.write(self._descriptor, data) :]:
                pass
        except OSError:  # nobody reads any more, or the disk is full: there is no place to say so
            return

    def _notice(self) -> bytes:
        dropped, self._dropped = self._dropped, 0
        line = {"level": "error", "event": "log_lines_dropped", "pieces": dropped, "why": "they were not taken in time"}
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


@cache
def standard_error() -> LogStream:
    """The process's own. What is late when the process ends is given a moment: it says why it ended."""
    stream = LogStream(sys.stderr.fileno())
    atexit.register(stream.drain, _LAST_WORDS)
    return stream
