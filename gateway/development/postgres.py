"""A real PostgreSQL in a folder of its own, on loopback, for development and for the tests."""

import os
import secrets
import shutil
import signal
import time
from pathlib import Path

from gateway.development.folders import FolderLock, make_folder, reachable_folder, write_secret
from gateway.development.postgres_binaries import PostgresBinaries, find_postgres, readable_to
from gateway.development.processes import (
    LOOPBACK,
    Account,
    Child,
    Launch,
    account_named,
    free_port,
    program_name,
    runs_as_root,
    wait_until,
)
from gateway.development.servers import ServerFailed, StopSequence

_SUPERUSER = "postgres"
_PROGRAM = "postgres"
_READY_WITHIN = 30.0  # seconds; recovery after a crash is part of it
_ORPHANS_WITHIN = 15.0  # seconds for the processes of a crashed server to exit
_RETRY = 0.1  # seconds
_UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root

# Fast shutdown, then immediate shutdown (PostgreSQL manual, "Shutting Down the Server").
_STOP = StopSequence(((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0)))
# What postgres logs while an earlier server of the same folder, or one of its backends, is still running.
_STILL_IN_USE = ("postmaster.pid", "pre-existing shared memory block")
_PORT_TAKEN = "could not bind"

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a socket's path is limited to 107 bytes, which a data folder's easily exceeds
    "max_connections": "200",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# A crash of the machine may corrupt the data; a crash of the server does not.
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class LocalPostgres:
    """Implements ``PostgresServer``. As root it runs the server as ``nobody``, in a folder that it can reach."""

    def __init__(self, folder: Path, *, port: int | None = None, durable: bool = True) -> None:
        self._account = account_named(_UNPRIVILEGED) if runs_as_root() else None
        self.folder = _server_folder(folder, self._account)
        self._lock = FolderLock(self.folder)
        self._port = port
        self._fixed_port = port is not None
        self._durable = durable
        self._binaries: PostgresBinaries | None = None
        self._child: Child | None = None

    @property
    def host(self) -> str:
        return LOOPBACK

    @property
    def port(self) -> int:
        if self._port is None:
            raise ServerFailed("PostgreSQL has no port before its first start.")
        return self._port

    @property
    def superuser_url(self) -> str:
        password = self._password_file.read_text()
        return f"postgresql://{_SUPERUSER}:{password}@{self.host}:{self.port}/postgres"

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    @property
    def process_id(self) -> int | None:
        """The postmaster's process id, while it runs."""
        return self._child.pid if self._child is not None and self._child.running else None

    def begin(self) -> None:
        """Create the data if needed (0.7 to 1 s), then launch the server without waiting for it."""
        if self.running:
            return
        self._lock.acquire()
        try:
            self._create_data()
            self._end_orphan()
            self._launch()
        except BaseException:
            self._lock.release()
            raise

    def start(self) -> None:
        """Launch it if needed and return when it accepts connections."""
        self.begin()
        deadline = time.monotonic() + _ORPHANS_WITHIN
        while True:
            try:
                self._wait_ready()
            except ServerFailed as failure:
                if self.running or not self._may_retry(str(failure), deadline):
                    self.stop()
                    raise
            else:
                self._fixed_port = True  # URLs that were handed out stay valid after a restart
                return
            time.sleep(_RETRY)
            self._launch()

    def stop(self) -> None:
        """Fast shutdown: clients are disconnected, and the next start needs no recovery."""
        if self._child is not None and self._child.running:
            self._child.stop(_STOP)
        self._release()

    def kill(self) -> None:
        """SIGKILL to the postmaster, as a crash would; its backends notice and exit."""
        if self._child is not None:
            self._child.kill()
        self._release()

    def pause(self) -> None:
        if self._child is not None:
            self._child.pause()

    def resume(self) -> None:
        if self._child is not None:
            self._child.resume()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _password_file(self) -> Path:
        return self.folder / "superuser_password"

    def _programs(self) -> PostgresBinaries:
        if self._binaries is None:
            found = find_postgres()
            self._binaries = readable_to(self._account, found, self.folder / "binaries") if self._account else found
        return self._binaries

    def _create_data(self) -> None:
        if self._data.exists():
            return
        password = secrets.token_urlsafe(24)
        write_secret(self._password_file, password)
        unfinished = self.folder / "data.unfinished"
        initialise(self._programs(), unfinished, password, self._account)
        unfinished.rename(self._data)

    def _launch(self) -> None:
        if self._port is None:
            self._port = free_port()
        settings = _SETTINGS | ({} if self._durable else _NOT_DURABLE) | {"port": str(self._port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = self.folder / "server.log"
        log.unlink(missing_ok=True)
        self._child = Child(
            Launch(
                command=[self._programs().postgres, "-D", str(self._data), *options],
                folder=self.folder,
                log=log,
                environment=_environment(),
                account=self._account,
                death_signal=signal.SIGINT,
            )
        )

    def _wait_ready(self) -> None:
        child = self._child
        if child is None:
            raise ServerFailed("PostgreSQL was stopped while it started.")
        wait_until(lambda: _is_ready(self._data, child.pid), child, _READY_WITHIN, "PostgreSQL")

    def _may_retry(self, failure: str, deadline: float) -> bool:
        if _PORT_TAKEN in failure and not self._fixed_port:
            self._port = None
        elif not any(sign in failure for sign in _STILL_IN_USE):
            return False
        return time.monotonic() < deadline

    def _end_orphan(self) -> None:
        # The folder's lock is held, so the parent of a server that runs here has exited.
        pid = _recorded_pid(self._data)
        if pid is None or program_name(pid) != _PROGRAM:
            return
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + _ORPHANS_WITHIN
        while program_name(pid) == _PROGRAM and time.monotonic() < deadline:
            time.sleep(_RETRY)

    def _release(self) -> None:
        self._child = None
        self._lock.release()


def initialise(programs: PostgresBinaries, data: Path, password: str, account: Account | None) -> None:
    """Create a cluster in ``data`` with that superuser password. Raises ServerFailed with initdb's output."""
    if data.exists():  # an earlier attempt was interrupted
        shutil.rmtree(data)
    data.mkdir(mode=0o700)
    password_file = data.with_name("initdb_password")
    write_secret(password_file, password)
    if account:
        os.chown(data, account.uid, account.gid)
        os.chown(password_file, account.uid, account.gid)
    try:
        _run_initdb(programs, data, password_file, account)
    finally:
        password_file.unlink()


def _run_initdb(programs: PostgresBinaries, data: Path, password_file: Path, account: Account | None) -> None:
    # The builtin provider (17 and later) sorts and folds case the same on every machine.
    builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    locale = builtin if programs.major >= 17 else ["--locale=C.UTF-8"]  # noqa: PLR2004
    command = [programs.initdb, "-D", str(data), "-U", _SUPERUSER, "--auth=scram-sha-256", "-E", "UTF8", "--no-sync"]
    child = Child(
        Launch(
            command=[*command, f"--pwfile={password_file}", *locale],
            folder=data.parent,
            log=data.with_name("initdb.log"),
            environment=_environment(),
            account=account,
        )
    )
    if child.wait(_READY_WITHIN * 2) != 0:
        raise ServerFailed(f"initdb exited with code {child.exit_code}:\n{child.log_tail()}")


def _server_folder(folder: Path, account: Account | None) -> Path:
    return reachable_folder(account, folder) if account else make_folder(folder, open_to_others=False)


def _environment() -> dict[str, str]:
    # No secret of the gateway, no PG* variable of the shell, and messages in English, which are searched for.
    return {"PATH": os.defpath, "LC_ALL": "C"}


def _recorded_pid(data: Path) -> int | None:
    lines = _pid_file(data)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _is_ready(data: Path, pid: int) -> bool:
    # The file's first line is the process id and the eighth the status; pg_ctl reads the same.
    lines = _pid_file(data)
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"  # noqa: PLR2004


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []
