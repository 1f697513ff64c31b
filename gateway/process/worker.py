"""One worker process, as its manager sees it and as it begins."""

import contextlib
import os
import signal
import time
from socket import socket

import uvicorn
from uvicorn.supervisors.multiprocess import Process

from gateway.process.draining import DrainingServer


class Worker(Process):
    """Ends in order when its manager has gone, so that it does not hold the port for ever."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket], notice: float) -> None:
        super().__init__(config, sockets)
        self.ready = False  # it serves, or has served
        self._notice = notice
        self._asked = False
        self._heard_at = time.monotonic()

    @property
    def server(self) -> DrainingServer:
        """The server, in the new process."""
        if not isinstance(self._server, DrainingServer):
            self._server = DrainingServer(self.config, self._notice)
        return self._server

    def target(self, sockets: list[socket] | None = None) -> None:
        """What the new process does."""
        self.parent_conn.close()  # the manager's end: with a copy of it here, ours would never tell that it is gone
        super().target(sockets)

    def always_pong(self) -> None:
        """Answer the manager until it is gone; run by a thread of the new process."""
        with contextlib.suppress(EOFError, OSError):
            super().always_pong()
        os.kill(os.getpid(), signal.SIGTERM)

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def look(self) -> float:
        """Seconds since it last answered. Asks again when it has, and never waits for it."""
        with contextlib.suppress(EOFError, OSError):  # it has ended, which its exit code says better
            if self._asked and self.parent_conn.poll():
                self.ready = self.parent_conn.recv() or self.ready
                self._asked, self._heard_at = False, time.monotonic()
            if not self._asked:
                self.parent_conn.send(b"ping")
                self._asked = True
        return time.monotonic() - self._heard_at

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal, if it still lives."""
        if self.alive and self.pid is not None:
            os.kill(self.pid, number)

    def ended_within(self, seconds: float) -> bool:
        """Whether it has ended by then."""
        self.process.join(max(0.0, seconds))
        return not self.alive
