"""Child processes that end when they are told to, and that never outlive whoever started them."""

import contextlib
import ctypes
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gateway.development.ports import GENTLE, PartFailed, StopOrder

LOOPBACK = "127.0.0.1"
_PROC = Path("/proc")
_ZOMBIE = "Z"  # ended, and not yet waited for by its parent
_POLL = 0.01  # seconds between two looks at something that has no file descriptor to wait on
_PR_SET_PDEATHSIG = 1  # prctl(2), Linux only
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

# The kernel sends the parent-death signal when the *thread* that forked ends, so every child is forked by this one
# thread, which lives as long as the interpreter. A child forked by a short-lived worker thread would die with it.
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


@dataclass(frozen=True, slots=True)
class Account:
    """The user and group that a child runs as."""

    name: str
    uid: int
    gid: int


def account_named(name: str) -> Account:
    """The operating system's account of that name. Raises KeyError when there is none."""
    entry = pwd.getpwnam(name)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run, and how.

    ``environment`` is all that the child sees; None lets it see ours. ``stdin`` is all that it can read; None leaves
    that for ``Child.tell``. ``death_signal`` reaches it when we die without having stopped it (Linux).
    """

    command: Sequence[str]
    folder: Path
    log: Path
    environment: Mapping[str, str] | None
    account: Account | None = None
    stdin: bytes | None = b""
    death_signal: signal.Signals = signal.SIGTERM


class Child:
    """One running child process, in a session of its own: Ctrl-C in a terminal reaches us, and we stop it in order."""

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
        """None while it runs; minus the signal's number when a signal ended it."""
        return self._process.poll()

    def tell(self, text: bytes) -> None:
        """Write all that the child will ever read, where its launch has left that open."""
        if self._process.stdin is None:
            raise ValueError("this child's stdin was settled when it was launched")
        with contextlib.suppress(BrokenPipeError):  # it has ended already, which its exit code says better
            self._process.stdin.write(text)
            self._process.stdin.close()

    def ask_to_stop(self) -> None:
        """Send SIGTERM and return at once, so that several children can end together; ``stop`` waits for each."""
        self._process.terminate()

    def stop(self, order: StopOrder = GENTLE) -> int:
        """Send the signals of ``order`` in turn, then SIGKILL; return the exit code when the process is gone.

        SIGKILL goes to its whole session, since what it has started could not be told by it any more.
        """
        for number, seconds in order.steps:
            self._process.send_signal(number)
            code = self.wait(seconds)
            if code is not None:
                return code
        os.killpg(self.pid, signal.SIGKILL)
        return self._process.wait()

    def wait(self, seconds: float) -> int | None:
        """The exit code; None when it still runs after that time."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        self._signal_family(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_family(signal.SIGCONT)

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of what the child wrote."""
        text = self.launch.log.read_text(errors="replace") if self.launch.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _signal_family(self, number: signal.Signals) -> None:
        # The parent first: stopped, it can start no child that we would miss.
        os.kill(self.pid, number)
        for pid in children_of(self.pid):
            os.kill(pid, number)


def wait_until(ready: Callable[[], bool], child: Child, seconds: float, what: str, every: float = _POLL) -> None:
    """Return when ``ready`` says so, asked ``every`` so many seconds.

    Raises PartFailed when the child ends first or the time is up.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if not child.running:
            raise PartFailed(f"{what} ended with exit code {child.exit_code}:\n{child.log_tail()}")
        if time.monotonic() > deadline:
            raise PartFailed(f"{what} was not ready within {seconds:.0f} s:\n{child.log_tail()}")
        time.sleep(every)


def children_of(pid: int) -> list[int]:
    """The process ids of the direct children of ``pid``."""
    return [child for child, parent, _ in _process_table() if parent == pid]


def program_name(pid: int) -> str:
    """The name of the program that runs under that id; empty when there is none."""
    return next((name for process, _, name in _process_table() if process == pid), "")


def _process_table() -> Iterator[tuple[int, int, str]]:
    """Every process that lives: its id, its parent's id, its program's name. A zombie does not live."""
    if _PROC.is_dir():
        return _table_from_proc()
    return _table_from_ps()


def _table_from_proc() -> Iterator[tuple[int, int, str]]:
    # Small container images have /proc but no ps. Format: proc(5), /proc/pid/stat; a name may hold spaces and brackets.
    for entry in _PROC.glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
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
    """True when the operating system would let us do anything, and servers should not be ours."""
    return os.geteuid() == 0


def free_port() -> int:
    """A TCP port that nobody on loopback listens on now. Somebody may take it before its user does."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _popen(launch: Launch) -> subprocess.Popen[bytes]:
    account = launch.account
    with launch.log.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - the command is built by us, and no shell reads it
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
            preexec_fn=_death_wish(launch.death_signal, os.getpid()),  # noqa: PLW1509 - one system call, bound before
        )
    if process.stdin is not None and launch.stdin is not None:
        process.stdin.write(launch.stdin)
        process.stdin.close()
    return process


def _death_wish(number: signal.Signals, parent: int) -> Callable[[], None] | None:
    if _PRCTL is None:
        return None
    prctl = _PRCTL

    def wish() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the wish was heard
            os._exit(1)

    return wish
