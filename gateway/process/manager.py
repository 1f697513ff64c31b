"""uvicorn's manager of worker processes, made to look after each of them without waiting for any.

uvicorn's own waits for a worker that hangs until its health check times out, and through the whole of a restart, and
hears nothing else meanwhile: a stop would come too late, and another worker that dies would not be replaced.
"""

import signal
import time
from socket import socket

import structlog
import uvicorn
from uvicorn.supervisors import Multiprocess

from gateway.process.applications import Applications
from gateway.process.draining import DRAIN, HAND_OVER, LINGER
from gateway.process.worker import Worker

_SHORTEST_PAUSE = 0.5  # seconds until a worker that ended before it served is tried again
_LONGEST_PAUSE = 30.0
_CLOSING = 15.0  # seconds that a worker may take to close what stands behind requests

_log = structlog.get_logger(__name__)


class Workers(Multiprocess):
    """Keeps ``config.workers`` processes serving on one socket.

    SIGTERM and SIGINT end them, SIGHUP replaces them one after another: a successor serves before its predecessor goes.
    """

    def __init__(self, config: uvicorn.Config, listener: socket, applications: Applications) -> None:
        super().__init__(config, [listener])
        self.gave_up = False  # no worker has ever served, and none would
        self._applications = applications
        self._served = False  # some worker has
        self._notice = applications.settings.stop_notice_seconds
        self._serving: list[Worker] = []  # or about to
        self._outdated: list[Worker] = []  # those of them that are to be replaced
        self._successor: Worker | None = None
        self._leaving: list[Worker] = []
        self._pause = _SHORTEST_PAUSE
        self._not_before = float("-inf")

    # -- what uvicorn's loop calls

    def init_processes(self) -> None:
        self._fill()

    def keep_subprocess_alive(self) -> None:
        """One look at everything, twice a second."""
        for worker in self._all():
            if worker.look() > self.config.timeout_worker_healthcheck:
                _log.error("worker_hangs", pid=worker.pid)
                worker.tell(signal.SIGKILL)
            self._served = self._served or worker.ready
        self._bury()
        if not self.should_exit.is_set():
            self._fill()
            self._replace()

    def restart_all(self) -> None:
        """SIGHUP: replace every worker that serves now. Those that are to come serve what the settings say now."""
        try:
            self._applications.renew()
        except (ValueError, OSError) as error:  # or a file that holds one is not there
            _log.error("restart_refused", error=str(error))
            return
        self._outdated = list(self._serving)

    def terminate_all(self) -> None:
        for listener in self.sockets:
            listener.close()  # while we held it open, clients would connect to nobody
        for worker in self._all():
            worker.tell(signal.SIGTERM)

    def join_all(self) -> None:
        end = time.monotonic() + self._notice + LINGER + DRAIN + _CLOSING
        for worker in self._all():
            if not worker.ended_within(end - time.monotonic()):
                _log.error("worker_killed", pid=worker.pid, why="it did not end in time")
                worker.tell(signal.SIGKILL)
                worker.join()

    def handle_ttin(self) -> None:
        """More workers would give more than the limits, whose shares were counted at the start (TH8)."""
        _log.warning("signal_refused", why="start again with another number of --workers")

    handle_ttou = handle_ttin

    # -- one step of each

    def _all(self) -> list[Worker]:
        return [*self._serving, *self._leaving, *([self._successor] if self._successor else [])]

    def _fill(self) -> None:
        if time.monotonic() >= self._not_before:
            while len(self._serving) < self.processes_num:
                self._serving.append(self._start(takes_over=self._served))

    def _start(self, *, takes_over: bool) -> Worker:
        self.config.app = self._applications.factory(takes_over=takes_over)
        self.config.http = self._applications.protocols()
        worker = Worker(self.config, self.sockets, self._notice)
        worker.start()
        _log.info("worker_started", pid=worker.pid)
        return worker

    def _bury(self) -> None:
        self._leaving = [worker for worker in self._leaving if worker.alive]
        if self._successor is not None and not self._successor.alive:
            _log.error("restart_abandoned", pid=self._successor.pid, exit_code=self._successor.exitcode)
            self._successor, self._outdated = None, []
        for worker in [worker for worker in self._serving if not worker.alive]:
            self._serving.remove(worker)
            self._mourn(worker)

    def _mourn(self, worker: Worker) -> None:
        _log.error("worker_ended", pid=worker.pid, exit_code=worker.exitcode)
        if self._successor is not None:
            self._serving.append(self._successor)
            self._successor = None
        if worker.ready:
            self._pause = _SHORTEST_PAUSE
            return
        self._not_before = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        if not self._served and (worker.exitcode or 0) > 0:  # not killed: no other would fare better
            self.gave_up = True
            self.should_exit.set()

    def _replace(self) -> None:
        self._outdated = [worker for worker in self._outdated if worker in self._serving]
        if not self._outdated or self._leaving:
            return
        if self._successor is None:
            self._successor = self._start(takes_over=True)
        elif self._successor.ready:
            predecessor = self._outdated.pop(0)
            self._serving.remove(predecessor)
            self._leaving.append(predecessor)
            predecessor.tell(HAND_OVER)
            self._serving.append(self._successor)
            self._successor = None
