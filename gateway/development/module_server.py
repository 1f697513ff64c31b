"""A server that is a module of Tenantry, run with ``python -m``: the Stripe stand-in and the mail sink."""

import os
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from gateway.development.folders import make_folder
from gateway.development.processes import LOOPBACK, Child, Launch, free_port, wait_until
from gateway.development.servers import ServerFailed

_START_LIMIT = 20.0  # seconds
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


class ModuleServer(ABC):
    """Implements ``Server``. Takes free ports at its first start, and keeps them over restarts.

    ``name`` is for messages; a port that is not None is used instead of a free one.
    """

    def __init__(self, name: str, module: str, folder: Path, ports: Sequence[int | None]) -> None:
        self._name = name
        self._module = module
        self._folder = make_folder(folder, open_to_others=False)
        self._given_ports = tuple(ports)
        self._ports: tuple[int, ...] | None = None
        self._child: Child | None = None

    @abstractmethod
    def _options(self) -> list[str]:
        """The options of the module's command line. The ports are chosen when it is called."""

    @property
    def host(self) -> str:
        return LOOPBACK

    @property
    def ports(self) -> tuple[int, ...]:
        """Its TCP ports. Raises ServerFailed before the first start."""
        if self._ports is None:
            raise ServerFailed(f"{self._name} has not been started.")
        return self._ports

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    def begin(self) -> None:
        """Launch it without waiting."""
        if self.running:
            return
        if self._ports is None:
            self._ports = tuple(port or free_port() for port in self._given_ports)
        command = [sys.executable, "-m", self._module, *self._options()]
        environment = {"PATH": os.defpath, "PYTHONPATH": str(_PACKAGE_ROOT)}
        self._child = Child(Launch(command, self._folder, self._folder / "server.log", environment))

    def start(self) -> None:
        """Launch it if needed and return when it answers. Raises ServerFailed."""
        self.begin()
        wait_until(self._answers, self._launched(), _START_LIMIT, self._name)

    def stop(self) -> None:
        if self.running:
            self._launched().stop()

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self.running:
            self._launched().kill()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing is answered."""
        self._launched().pause()

    def resume(self) -> None:
        self._launched().resume()

    def _launched(self) -> Child:
        if self._child is None:
            raise ServerFailed(f"{self._name} is not running.")
        return self._child

    def _answers(self) -> bool:
        return all(_listens(self.host, port) for port in self.ports)


def _listens(host: str, port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex((host, port)) == 0
