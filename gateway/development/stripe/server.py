"""The stand-in as a process, started and stopped like PostgreSQL and Redis (``servers.py``)."""

import os
import socket
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateway.development.folders import make_folder
from gateway.development.processes import LOOPBACK, Child, Launch, free_port, wait_until
from gateway.development.servers import ServerFailed

_START_LIMIT = 20.0  # seconds
_PACKAGE_ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class StandInOptions:
    """Options of the stand-in."""

    api_key: str
    retry_first: float = 1.0  # seconds
    retry_longest: float = 300.0  # seconds


class StripeStandIn:
    """Keeps its state in ``folder`` and its port over restarts, so that base URLs stay valid."""

    def __init__(self, folder: Path, options: StandInOptions, port: int | None = None) -> None:
        self._folder = make_folder(folder, open_to_others=False)
        self._options = options
        self._port = port
        self._child: Child | None = None

    @property
    def host(self) -> str:
        return LOOPBACK

    @property
    def port(self) -> int:
        """The TCP port. Raises ServerFailed before the first start."""
        if self._port is None:
            raise ServerFailed("The Stripe stand-in has not been started.")
        return self._port

    @property
    def url(self) -> str:
        """``base_addresses={"api": url}`` of the SDK."""
        return f"http://{self.host}:{self.port}"

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    def begin(self) -> None:
        """Launch it without waiting."""
        if self.running:
            return
        self._port = self._port or free_port()
        options = self._options
        command = [sys.executable, "-m", "gateway.development.stripe"]
        command += ["--port", str(self._port), "--state", str(self._folder / "stripe.journal")]
        command += ["--api-key", options.api_key]
        command += ["--retry-first", str(options.retry_first), "--retry-longest", str(options.retry_longest)]
        environment = {"PATH": os.defpath, "PYTHONPATH": str(_PACKAGE_ROOT)}
        self._child = Child(Launch(command, self._folder, self._folder / "stripe.log", environment))

    def start(self) -> None:
        """Launch it if needed and return when it answers. Raises ServerFailed."""
        self.begin()
        wait_until(self._answers, self._running_child(), _START_LIMIT, "The Stripe stand-in")

    def stop(self) -> None:
        if self.running:
            self._running_child().stop()

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self.running:
            self._running_child().kill()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing is answered."""
        self._running_child().pause()

    def resume(self) -> None:
        self._running_child().resume()

    def _running_child(self) -> Child:
        if self._child is None:
            raise ServerFailed("The Stripe stand-in is not running.")
        return self._child

    def _answers(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex((self.host, self.port)) == 0
