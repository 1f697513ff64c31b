"""One worker process: its entry point, and the manager's view of it."""

import contextlib
import os
import signal
import time
from socket import socket

import uvicorn
from uvicorn.supervisors.multiprocess import Process

from gateway.process.draining import DrainingServer


class Worker(Process):
    """A worker that shuts down when its manager has died, so that it does not keep the port."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket], notice: float) -> None:
        super().__init__(config, sockets)
        self.ready = False  # it serves, or has served
        self._notice = notice
        self._ping_pending = False
        self._last_pong = time.monotonic()

    @property
    def server(self) -> DrainingServer:
        """The server, in the worker process."""
        if not isinstance(self._server, DrainingServer):
            self._server = DrainingServer(self.config, self._notice)
        return self._server

    def target(self, sockets: list[socket] | None = None) -> None:
        """The entry point of the worker process."""
        self.parent_conn.close()  # else this copy of the manager's end would hide that the manager has died
        super().target(sockets)

    def always_pong(self) -> None:
        """Respond to the manager until it has died. uvicorn runs this in a thread of the worker process."""
        with contextlib.suppress(EOFError, OSError):
            super().always_pong()
        os.kill(os.getpid(), signal.SIGTERM)

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def check(self) -> float:
        """Seconds since the last pong. Sends the next ping, and never blocks."""
        with contextlib.suppress(EOFError, OSError):  # it has exited; its exit code tells more
            if self._ping_pending and self.parent_conn.poll():
                self.ready = self.parent_conn.recv() or self.ready
                self._ping_pending, self._last_pong = False, time.monotonic()
            if not self._ping_pending:
                self.parent_conn.send(b"ping")
                self._ping_pending = True
        return time.monotonic() - self._last_pong

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal if the process is alive."""
        if self.alive and self.pid is not None:
            os.kill(self.pid, number)

    def join_within(self, seconds: float) -> bool:
        """Wait for its exit; whether it has exited."""
        self.process.join(max(0.0, seconds))
        return not self.alive
