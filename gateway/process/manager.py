"""uvicorn's process manager, changed so that it never blocks on a single worker.

uvicorn's own manager blocks on a hung worker until its health check times out, and during a whole restart. Meanwhile it
handles no signal and replaces no failed worker.
"""

import signal
import time
from socket import socket

import structlog
import uvicorn
from uvicorn.supervisors import Multiprocess

from gateway.process.configuration import WorkerConfiguration
from gateway.process.draining import DRAIN_TIMEOUT, IDLE_GRACE, RETIRE
from gateway.process.worker import Worker

_MIN_BACKOFF = 0.5  # seconds before the replacement of a worker that ended before it was ready
_MAX_BACKOFF = 30.0
_CLEANUP_TIMEOUT = 15.0  # seconds that a worker gets for its shutdown after the last request

_log = structlog.get_logger(__name__)


class WorkerManager(Multiprocess):
    """Keeps ``config.workers`` processes serving on one socket.

    SIGTERM and SIGINT stop them. SIGHUP is a rolling restart: a successor is ready before its predecessor stops.
    """

    def __init__(self, config: uvicorn.Config, listener: socket, configuration: WorkerConfiguration) -> None:
        super().__init__(config, [listener])
        self.startup_failed = False  # no worker has become ready, and another attempt would fail as well
        self._configuration = configuration
        self._any_ready = False  # at some time
        self._notice = configuration.settings.stop_notice_seconds
        self._active: list[Worker] = []  # ready or starting
        self._outdated: list[Worker] = []  # active ones that a rolling restart will replace
        self._successor: Worker | None = None
        self._retiring: list[Worker] = []
        self._backoff = _MIN_BACKOFF
        self._next_start = float("-inf")  # time.monotonic()

    # Called by uvicorn.

    def init_processes(self) -> None:
        self._start_missing()

    def keep_subprocess_alive(self) -> None:
        """Check all workers. uvicorn calls this twice a second."""
        for worker in self._all():
            if worker.check() > self.config.timeout_worker_healthcheck:
                _log.error("worker_unresponsive", pid=worker.pid)
                worker.send_signal(signal.SIGKILL)
            self._any_ready = self._any_ready or worker.ready
        self._remove_exited()
        if not self.should_exit.is_set():
            self._start_missing()
            self._continue_rolling_restart()

    def restart_all(self) -> None:
        """On SIGHUP: replace all active workers, one after another, with workers that use the current settings."""
        try:
            self._configuration.reload_settings()
        except (ValueError, OSError) as error:  # invalid settings, or a secret's file is missing
            _log.error("restart_rejected", error=str(error))
            return
        self._outdated = list(self._active)

    def terminate_all(self) -> None:
        for listener in self.sockets:
            listener.close()  # an open listener would accept connections that no worker serves
        for worker in self._all():
            worker.send_signal(signal.SIGTERM)

    def join_all(self) -> None:
        deadline = time.monotonic() + self._notice + IDLE_GRACE + DRAIN_TIMEOUT + _CLEANUP_TIMEOUT
        for worker in self._all():
            if not worker.join_within(deadline - time.monotonic()):
                _log.error("worker_killed", pid=worker.pid, reason="shutdown timeout")
                worker.send_signal(signal.SIGKILL)
                worker.join()

    def handle_ttin(self) -> None:
        """Ignored: each worker's share of a limit depends on the number of workers at start (TH8)."""
        _log.warning("signal_ignored", reason="restart with another --workers to change the number of workers")

    def handle_ttou(self) -> None:
        """Ignored, like SIGTTIN."""
        self.handle_ttin()

    # Steps of the above.

    def _all(self) -> list[Worker]:
        return [*self._active, *self._retiring, *([self._successor] if self._successor else [])]

    def _start_missing(self) -> None:
        if time.monotonic() >= self._next_start:
            while len(self._active) < self.processes_num:
                self._active.append(self._start(takes_over=self._any_ready))

    def _start(self, *, takes_over: bool) -> Worker:
        self.config.app = self._configuration.app_factory(takes_over=takes_over)
        self.config.http = self._configuration.protocol_factory()
        worker = Worker(self.config, self.sockets, self._notice)
        worker.start()
        _log.info("worker_started", pid=worker.pid)
        return worker

    def _remove_exited(self) -> None:
        self._retiring = [worker for worker in self._retiring if worker.alive]
        if self._successor is not None and not self._successor.alive:
            _log.error("restart_aborted", pid=self._successor.pid, exit_code=self._successor.exitcode)
            self._successor, self._outdated = None, []
        for worker in [worker for worker in self._active if not worker.alive]:
            self._active.remove(worker)
            self._handle_failure(worker)

    def _handle_failure(self, worker: Worker) -> None:
        _log.error("worker_exited", pid=worker.pid, exit_code=worker.exitcode)
        if self._successor is not None:
            self._active.append(self._successor)
            self._successor = None
        if worker.ready:
            self._backoff = _MIN_BACKOFF
            return
        self._next_start = time.monotonic() + self._backoff
        self._backoff = min(2 * self._backoff, _MAX_BACKOFF)
        if not self._any_ready and (worker.exitcode or 0) > 0:  # failed by itself: another worker would fail as well
            self.startup_failed = True
            self.should_exit.set()

    def _continue_rolling_restart(self) -> None:
        self._outdated = [worker for worker in self._outdated if worker in self._active]
        if not self._outdated or self._retiring:
            return
        if self._successor is None:
            self._successor = self._start(takes_over=True)
        elif self._successor.ready:
            predecessor = self._outdated.pop(0)
            self._active.remove(predecessor)
            self._retiring.append(predecessor)
            predecessor.send_signal(RETIRE)
            self._active.append(self._successor)
            self._successor = None
