"""A log stream that never blocks the process.

A pipe buffers 64 KB; then a write blocks until the reader reads. A stalled log collector would so block the event loop
and with it every request. Lines that cannot be written at once are queued for a thread; when the queue is full they are
dropped and counted.
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

_ATOMIC_WRITE = 4096  # bytes that a ready pipe takes completely (PIPE_BUF, pipe(7)); a ready socket takes more
_EXIT_TIMEOUT = 2.0  # seconds
_MAX_QUEUED = 20_000  # pieces, most of them lines of about 300 bytes


class LogStream(io.TextIOBase):
    """Writes to a file descriptor, in order. Accepts text and bytes, and is its own ``buffer``."""

    def __init__(self, descriptor: int, max_queued: int = _MAX_QUEUED) -> None:
        self._descriptor = descriptor
        self._max_queued = max_queued
        self._dropped = 0
        self._queue: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._drained = threading.Condition(self._lock)
        self._writer: threading.Thread | None = None  # while the queue is not empty
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    @property
    def buffer(self) -> "LogStream":
        return self

    def write(self, piece: str | bytes) -> int:
        """Write or queue the piece, without blocking."""
        data = piece if isinstance(piece, bytes) else piece.encode(errors="backslashreplace")
        with self._lock:
            if self._writer is None and len(data) <= _ATOMIC_WRITE and self._poll.poll(0):
                self._write_now(data)
            elif len(self._queue) < self._max_queued:
                self._enqueue(data)
            else:
                self._dropped += 1
        return len(piece)

    def flush(self) -> None:
        """Do nothing: loggers flush after each line and must not block."""

    def drain(self, seconds: float) -> bool:
        """Wait until the queue is empty; whether it is."""
        with self._drained:
            return self._drained.wait_for(lambda: self._writer is None, seconds)

    def _enqueue(self, data: bytes) -> None:
        self._queue.append(data)
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_queue, name="log-writer", daemon=True)
            self._writer.start()

    def _write_queue(self) -> None:
        while (data := self._next()) is not None:
            self._write_now(data)

    def _next(self) -> bytes | None:
        with self._drained:
            if self._queue:
                return self._queue.popleft()
            if self._dropped:
                return self._dropped_line()
            self._writer = None
            self._drained.notify_all()
            return None

    def _write_now(self, data: bytes) -> None:
        # Not through Python's buffered files: a thread that blocks with the lock of one keeps the process from exiting.
        try:
            while data := data[os.write(self._descriptor, data) :]:
                pass
        except OSError:  # the reader has closed or the disk is full: there is nowhere to report it
            return

    def _dropped_line(self) -> bytes:
        dropped, self._dropped = self._dropped, 0
        line = {"level": "error", "event": "log_lines_dropped", "dropped": dropped, "reason": "the log reader is slow"}
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


@cache
def standard_error() -> LogStream:
    """The stream of the process's standard error. At exit, queued lines get a moment to be written."""
    stream = LogStream(sys.stderr.fileno())
    atexit.register(stream.drain, _EXIT_TIMEOUT)
    return stream
