"""The servers under test: each one a process pinned to the first core, while everything else uses the last one."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx

from gateway.development.processes import LOOPBACK, Child, Launch, children_of, free_port, wait_until

_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = _CORES[0], _CORES[-1]
_START_TIMEOUT = 60.0  # seconds, enough for a hundred thousand policy lines
_UVICORN_OPTIONS = (
    *("--factory", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--no-server-header"),
    # By default 5 s: a load process or a server that a busy machine stalls for longer finds its connections closed,
    # which breaks the benchmark off. Idle connections are not what it measures.
    *("--timeout-keep-alive", "600"),
)
# The module and application names of checkouts before the first one that has the other file.
_APPLICATION_SERVER, _OLD_APPLICATION_SERVER = "application_server", "served"
_OLD_NAMES = {"many-headers": "wordy"}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    url: str
    child: Child

    def cpu_seconds(self) -> float:
        """CPU time so far, with nanosecond resolution, of the process and its workers."""
        return sum(map(process_cpu_seconds, self._processes()))

    def memory_megabytes(self) -> float:
        """Resident memory of the process and its workers; shared pages count for each."""
        return sum(map(_memory_megabytes, self._processes()))

    def _processes(self) -> list[int]:
        return [self.child.pid, *children_of(self.child.pid)]


@dataclass(frozen=True, slots=True)
class Servers:
    """Starts servers, which end with ``stack``."""

    folder: Path
    environment: dict[str, str]
    stack: ExitStack
    checkout: Path  # whose code they run

    def plain_uvicorn(self, application: str, **environment: str) -> Server:
        """An ASGI application factory under uvicorn with uvloop and httptools, without an access log."""
        return self._start(("uvicorn", application, *_UVICORN_OPTIONS, "--port"), "/", environment)

    def gateway(self, workers: int = 1, **environment: str) -> Server:
        """``tenantry serve``."""
        return self._start(("gateway.cli", "serve", "--workers", str(workers), "--port"), "/readyz", environment)

    def application(self, name: str, workers: int = 1, **environment: str) -> Server:
        """An application of ``benchmarks/application_server.py`` behind the server of ``tenantry serve``."""
        module = _APPLICATION_SERVER
        if not (self.checkout / "benchmarks" / f"{module}.py").exists():
            module, name = _OLD_APPLICATION_SERVER, _OLD_NAMES.get(name, name)
        return self._start((f"benchmarks.{module}", name, str(workers)), "/readyz", environment)

    def program(
        self,
        command: Callable[[int], Sequence[str]],
        path: str,
        fields: Mapping[str, str] | None = None,
        core: int = SERVER_CORE,
    ) -> Server:
        """Any other program. ``command`` makes its command line for a port; ``path`` answers when it is ready."""
        port = free_port()
        return self._launch(command(port), port, path, os.environ, fields=fields, core=core)

    def _start(self, module: Sequence[str], path: str, environment: dict[str, str]) -> Server:
        """``module`` takes its port as its last argument."""
        port = free_port()
        variables = self.environment | {"PYTHONPATH": str(self.checkout)} | environment
        return self._launch([sys.executable, "-m", *module, str(port)], port, path, variables)

    def _launch(
        self,
        command: Sequence[str],
        port: int,
        path: str,
        variables: Mapping[str, str],
        *,
        fields: Mapping[str, str] | None = None,
        core: int = SERVER_CORE,
    ) -> Server:
        pinned = ["taskset", "-c", str(core), *command]
        log = self.folder / f"server-{port}.log"
        child = Child(Launch(command=pinned, folder=self.checkout, log=log, environment=variables))
        self.stack.callback(child.stop)
        url = f"http://{LOOPBACK}:{port}"
        wait_until(lambda: _responds(url + path, fields), child, _START_TIMEOUT, " ".join(command))
        return Server(url, child)


def _responds(url: str, fields: Mapping[str, str] | None) -> bool:
    try:
        answer = httpx.get(url, timeout=1, verify=False, headers=fields)  # noqa: S501 - plain HTTP; certificates take 30 ms to load
    except httpx.TransportError:
        time.sleep(0.05)
        return False
    return answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR


def process_cpu_seconds(pid: int) -> float:
    """CPU time of the process so far."""
    # The clock id of another process, as clock_getcpuclockid(3) builds it on Linux: /proc has a resolution of 10 ms.
    return time.clock_gettime(~pid << 3 | 2)


def _memory_megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
