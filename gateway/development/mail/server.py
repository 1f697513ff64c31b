"""The mail sink as a process of its own, started and stopped like PostgreSQL and Redis (``servers.py``)."""

import os
import socket
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

from gateway.development.folders import make_folder
from gateway.development.processes import LOOPBACK, Child, Launch, free_port, wait_until
from gateway.development.servers import ProgramMissing, ServerFailed

_START_LIMIT = 20.0  # seconds
_PACKAGE_ROOT = Path(__file__).resolve().parents[3]


class MailSink:
    """Keeps its ports over restarts; messages are in memory and end with the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = make_folder(folder, open_to_others=False)
        self._ports: tuple[int, int] | None = None  # SMTP, HTTP
        self._child: Child | None = None

    @property
    def host(self) -> str:
        return LOOPBACK

    @property
    def port(self) -> int:
        """The port of SMTP. Raises ServerFailed before the first start."""
        return self._chosen()[0]

    @property
    def url(self) -> str:
        """Where the messages can be read. Raises ServerFailed before the first start."""
        return f"http://{self.host}:{self._chosen()[1]}"

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    def begin(self) -> None:
        """Launch it without waiting. Raises ProgramMissing."""
        if self.running:
            return
        if find_spec("aiosmtpd") is None:
            raise ProgramMissing("The mail sink needs aiosmtpd: pip install 'tenantry[dev]'.")
        self._ports = self._ports or (free_port(), free_port())
        smtp, http = self._ports
        command = [sys.executable, "-m", "gateway.development.mail", "--smtp-port", str(smtp), "--http-port", str(http)]
        environment = {"PATH": os.defpath, "PYTHONPATH": str(_PACKAGE_ROOT)}
        self._child = Child(Launch(command, self._folder, self._folder / "mail.log", environment))

    def start(self) -> None:
        """Launch it if needed and return when it answers. Raises ProgramMissing or ServerFailed."""
        self.begin()
        wait_until(self._answers, self._running_child(), _START_LIMIT, "The mail sink")

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

    def _chosen(self) -> tuple[int, int]:
        if self._ports is None:
            raise ServerFailed("The mail sink has not been started.")
        return self._ports

    def _running_child(self) -> Child:
        if self._child is None:
            raise ServerFailed("The mail sink is not running.")
        return self._child

    def _answers(self) -> bool:
        return all(_listens(self.host, port) for port in self._chosen())


def _listens(host: str, port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex((host, port)) == 0
