"""Child processes that can be stopped, and that never outlive their parent (Linux)."""

import contextlib
import ctypes
import os
import pwd
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gateway.development.servers import TERMINATE, ServerFailed, StopSequence

LOOPBACK = "127.0.0.1"
_PORTS = range(20_000, 32_768)  # below the ephemeral ports, any of which an outgoing connection may take meanwhile
_PORT_ATTEMPTS = 200
_PROC = Path("/proc")
_ZOMBIE = "Z"  # exited, but not yet waited for by its parent
_POLL = 0.01  # seconds between checks of something without a file descriptor to wait on
_PR_SET_PDEATHSIG = 1  # prctl(2), Linux only
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

# The kernel sends the parent-death signal when the *thread* that forked exits. So every child is forked by this one
# thread, which lives as long as the interpreter; a child of a short-lived thread would be killed with it.
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


@dataclass(frozen=True, slots=True)
class Account:
    """The user and group that a child runs as."""

    name: str
    uid: int
    gid: int


def account_named(name: str) -> Account:
    """The operating system's account with that name. Raises KeyError when there is none."""
    entry = pwd.getpwnam(name)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


@dataclass(frozen=True, slots=True)
class Launch:
    """A command and its surroundings.

    ``environment`` None inherits this process's. ``stdin`` is all that the child can read; None leaves it open for
    ``Child.send_input``. The kernel sends ``death_signal`` when this process dies without stopping the child (Linux).
    """

    command: Sequence[str]
    folder: Path
    log: Path
    environment: Mapping[str, str] | None
    account: Account | None = None
    stdin: bytes | None = b""
    death_signal: signal.Signals = signal.SIGTERM


class Child:
    """A child process in its own session: Ctrl-C in a terminal reaches only its parent, which stops it in order."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self._process = _SPAWNER.submit(_popen, launch).result()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; the negative signal number when a signal killed it."""
        return self._process.poll()

    def send_input(self, text: bytes) -> None:
        """Write the child's whole input and close it, when the launch has left it open."""
        if self._process.stdin is None:
            raise ValueError("this child's stdin was set when it was launched")
        with contextlib.suppress(BrokenPipeError):  # it has exited already, which its exit code reports
            self._process.stdin.write(text)
            self._process.stdin.close()

    def ask_to_stop(self) -> None:
        """Send SIGTERM and return at once, so that several children can stop in parallel; ``stop`` waits for each."""
        self._process.terminate()

    def stop(self, order: StopSequence = TERMINATE) -> int:
        """Send the signals of ``order`` in turn, then SIGKILL. Return the exit code when the process has exited.

        SIGKILL goes to its whole session, because the child cannot stop its own children any more.
        """
        for number, seconds in order.steps:
            self._process.send_signal(number)
            code = self.wait(seconds)
            if code is not None:
                return code
        os.killpg(self.pid, signal.SIGKILL)
        return self._process.wait()

    def wait(self, seconds: float) -> int | None:
        """The exit code; None when it still runs after that many seconds."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        self._signal_tree(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_tree(signal.SIGCONT)

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of the child's output."""
        text = self.launch.log.read_text(errors="replace") if self.launch.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _signal_tree(self, number: signal.Signals) -> None:
        # The parent first: while it is stopped, it cannot start another child.
        os.kill(self.pid, number)
        for pid in children_of(self.pid):
            with contextlib.suppress(ProcessLookupError):  # it has exited since it was listed
                os.kill(pid, number)


def wait_until(ready: Callable[[], bool], child: Child, seconds: float, what: str, every: float = _POLL) -> None:
    """Return when ``ready`` returns True; it is called ``every`` so many seconds.

    Raises ServerFailed when the child exits first or the time is over.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if not child.running:
            raise ServerFailed(f"{what} exited with code {child.exit_code}:\n{child.log_tail()}")
        if time.monotonic() > deadline:
            raise ServerFailed(f"{what} was not ready within {seconds:.0f} s:\n{child.log_tail()}")
        time.sleep(every)


def children_of(pid: int) -> list[int]:
    """The process ids of the direct children of ``pid``."""
    return [child for child, parent, _ in _process_table() if parent == pid]


def program_name(pid: int) -> str:
    """The name of the program with that process id; empty when there is none."""
    return next((name for process, _, name in _process_table() if process == pid), "")


def _process_table() -> Iterator[tuple[int, int, str]]:
    """Every running process: its id, its parent's id, its program's name. Without zombies."""
    if _PROC.is_dir():
        return _table_from_proc()
    return _table_from_ps()


def _table_from_proc() -> Iterator[tuple[int, int, str]]:
    # Small container images have /proc but no ps. Format: proc(5), /proc/pid/stat; a name may hold spaces and brackets.
    for entry in _PROC.glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it exited meanwhile
        name, _, rest = stat.partition("(")[2].rpartition(")")
        state, parent = rest.split()[:2]
        if state != _ZOMBIE:
            yield int(entry.name), int(parent), name


def _table_from_ps() -> Iterator[tuple[int, int, str]]:
    command = ["ps", "-A", "-o", "pid=,ppid=,stat=,comm="]
    listing = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - a constant command
    for line in listing.stdout.splitlines():
        pid, parent, state, path = line.split(maxsplit=3)
        if not state.startswith(_ZOMBIE):
            yield int(pid), int(parent), Path(path).name


def runs_as_root() -> bool:
    """True for the superuser, under which PostgreSQL refuses to run."""
    return os.geteuid() == 0


def free_port() -> int:
    """A TCP port that is free on loopback now. Another server may take it first. Raises ServerFailed without any."""
    for _ in range(_PORT_ATTEMPTS):
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    raise ServerFailed(
        f"No port of {_PORT_ATTEMPTS} between {_PORTS.start} and {_PORTS.stop - 1} is free on {LOOPBACK}."
    )


def _popen(launch: Launch) -> subprocess.Popen[bytes]:
    account = launch.account
    with launch.log.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - a fixed command, without a shell
            list(launch.command),
            stdin=subprocess.DEVNULL if launch.stdin == b"" else subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=launch.folder,
            env=None if launch.environment is None else dict(launch.environment),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,
            preexec_fn=_parent_death_signal(launch.death_signal, os.getpid()),  # noqa: PLW1509 - one system call, bound before
        )
    if process.stdin is not None and launch.stdin is not None:
        process.stdin.write(launch.stdin)
        process.stdin.close()
    return process


def _parent_death_signal(number: signal.Signals, parent: int) -> Callable[[], None] | None:
    if _PRCTL is None:
        return None
    prctl = _PRCTL

    def request() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the call
            os._exit(1)

    return request
