"""The servers that are measured: each a process of its own on the server core, everything else on the other one."""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx

from gateway.development.processes import LOOPBACK, Child, Launch, children_of, free_port, wait_until

_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, OTHER_CORE = _CORES[0], _CORES[-1]
_STARTS_WITHIN = 60.0  # seconds, a hundred thousand policy lines among them
_FASTEST = ("--factory", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--no-server-header")


@dataclass(frozen=True, slots=True)
class Server:
    """One that answers."""

    url: str
    child: Child

    def cpu_seconds(self) -> float:
        """Processor time that it has used so far, to the nanosecond, with its workers if it has any."""
        return sum(map(_cpu_seconds, self._processes()))

    def memory_megabytes(self) -> float:
        """Resident memory, its workers' included: pages that they share count for each."""
        return sum(map(_memory_megabytes, self._processes()))

    def _processes(self) -> list[int]:
        return [self.child.pid, *children_of(self.child.pid)]


@dataclass(frozen=True, slots=True)
class Servers:
    """Starts them; all end with ``stack``."""

    folder: Path
    environment: dict[str, str]
    stack: ExitStack

    def yardstick(self, application: str, **environment: str) -> Server:
        """An ASGI application factory under plain uvicorn, with the fastest of everything and no access log."""
        return self._start(("uvicorn", application, *_FASTEST, "--port"), "/", environment)

    def gateway(self, workers: int = 1, **environment: str) -> Server:
        """``tenantry serve``, as a deployment starts it."""
        return self._start(("gateway.cli", "serve", "--workers", str(workers), "--port"), "/readyz", environment)

    def ours(self, name: str, workers: int = 1, **environment: str) -> Server:
        """An application of ``benchmarks/served.py`` behind the very server that ``tenantry serve`` runs."""
        return self._start(("benchmarks.served", name, str(workers)), "/readyz", environment)

    def _start(self, module: Sequence[str], path: str, environment: dict[str, str]) -> Server:
        """``module`` takes its port as its last argument."""
        port = free_port()
        command = ["taskset", "-c", str(SERVER_CORE), sys.executable, "-m", *module, str(port)]
        log = self.folder / f"server-{port}.log"
        child = Child(Launch(command=command, folder=Path.cwd(), log=log, environment=self.environment | environment))
        self.stack.callback(child.stop)
        url = f"http://{LOOPBACK}:{port}"
        wait_until(lambda: _answers(url + path), child, _STARTS_WITHIN, " ".join(module))
        return Server(url, child)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code < httpx.codes.INTERNAL_SERVER_ERROR
    except httpx.TransportError:
        time.sleep(0.05)
        return False


def _cpu_seconds(pid: int) -> float:
    # The process's own clock, as clock_getcpuclockid(3) composes its number on Linux: /proc counts in steps of 10 ms.
    return time.clock_gettime(~pid << 3 | 2)


def _memory_megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
