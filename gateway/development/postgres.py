"""A real PostgreSQL in a folder of its own, on loopback, for development and for the tests."""

import os
import secrets
import shutil
import signal
import time
from pathlib import Path

from gateway.development.folders import FolderLock, folder_for, make_folder, write_secret
from gateway.development.ports import PartFailed, StopOrder
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

_SUPERUSER = "postgres"
_PROGRAM = "postgres"
_READY_WITHIN = 30.0  # seconds; recovery after a crash is part of it
_ORPHANS_WITHIN = 15.0  # seconds given to what a crashed server has left behind
_RETRY = 0.1  # seconds
_UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root

# Fast shutdown, then immediate shutdown (PostgreSQL manual, "Shutting Down the Server").
_STOP = StopOrder(((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0)))
# What postgres logs while an earlier one of the same folder, or one of its orphaned backends, still lives.
_STILL_IN_USE = ("postmaster.pid", "pre-existing shared memory block")
_PORT_TAKEN = "could not bind"

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a path of a socket may hold 107 bytes, which a data folder's easily exceeds
    "max_connections": "200",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# A crash of the machine may then corrupt the data; a crash of the server may not.
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class LocalPostgres:
    """Implements ``PostgresServer``. As root it runs the server as ``nobody``, in a folder that it can reach."""

    def __init__(self, folder: Path, *, port: int | None = None, durable: bool = True) -> None:
        self._account = account_named(_UNPRIVILEGED) if runs_as_root() else None
        self.folder = _place(folder, self._account)
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
            raise PartFailed("PostgreSQL has no port before its first start.")
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
        """Create the data at the first time (0.7 to 1 s), then launch the server without waiting for it."""
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
        """Launch it if needed and return when it takes connections."""
        self.begin()
        deadline = time.monotonic() + _ORPHANS_WITHIN
        while True:
            try:
                self._wait_ready()
            except PartFailed as failure:
                if self.running or not self._may_retry(str(failure), deadline):
                    self.stop()
                    raise
            else:
                self._fixed_port = True  # whoever holds a URL of ours finds the server there after a restart
                return
            time.sleep(_RETRY)
            self._launch()

    def stop(self) -> None:
        """Fast shutdown: clients are cut off, data is written, nothing has to be recovered at the next start."""
        if self._child is not None and self._child.running:
            self._child.stop(_STOP)
        self._forget()

    def kill(self) -> None:
        """End the postmaster as a crash would; its orphaned backends notice and end by themselves."""
        if self._child is not None:
            self._child.kill()
        self._forget()

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
            raise PartFailed("PostgreSQL was stopped while it started.")
        wait_until(lambda: _says_ready(self._data, child.pid), child, _READY_WITHIN, "PostgreSQL")

    def _may_retry(self, failure: str, deadline: float) -> bool:
        if _PORT_TAKEN in failure and not self._fixed_port:
            self._port = None
        elif not any(sign in failure for sign in _STILL_IN_USE):
            return False
        return time.monotonic() < deadline

    def _end_orphan(self) -> None:
        # We hold the folder's lock, so a server that lives here has lost whoever started it.
        pid = _recorded_pid(self._data)
        if pid is None or program_name(pid) != _PROGRAM:
            return
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + _ORPHANS_WITHIN
        while program_name(pid) == _PROGRAM and time.monotonic() < deadline:
            time.sleep(_RETRY)

    def _forget(self) -> None:
        self._child = None
        self._lock.release()


def initialise(programs: PostgresBinaries, data: Path, password: str, account: Account | None) -> None:
    """Create a cluster in ``data`` with that superuser password. Raises PartFailed with what initdb said."""
    if data.exists():  # an earlier attempt was cut short
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
        raise PartFailed(f"initdb ended with exit code {child.exit_code}:\n{child.log_tail()}")


def _place(folder: Path, account: Account | None) -> Path:
    return folder_for(account, folder) if account else make_folder(folder, open_to_others=False)


def _environment() -> dict[str, str]:
    # No secret of the gateway and no PG* variable of the shell. Messages in English, since we tell them apart.
    return {"PATH": os.defpath, "LC_ALL": "C"}


def _recorded_pid(data: Path) -> int | None:
    lines = _pid_file(data)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _says_ready(data: Path, pid: int) -> bool:
    # The file's first line is the process id and its eighth the status, which is what pg_ctl waits for as well.
    lines = _pid_file(data)
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"  # noqa: PLR2004


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []
