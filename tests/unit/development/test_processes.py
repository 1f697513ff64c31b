"""Child processes start, stop by the given sequence of signals, and never outlive their parent."""

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.development import processes
from gateway.development.processes import Child, Launch, children_of, free_port, program_name, wait_until
from gateway.development.servers import ServerFailed, StopSequence

REPOSITORY = Path(__file__).parents[2]
SLEEPER = "import time; print('ready', flush=True); time.sleep(60)"
IGNORES_SIGTERM = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"


def child_of(folder: Path, script: str, **changes: object) -> Child:
    launch = {"command": [sys.executable, "-c", script], "folder": folder, "log": folder / "log", "environment": {}}
    return Child(Launch(**(launch | changes)))  # type: ignore[arg-type]  # a test's shorthand for the fields


def wait_until_ready(child: Child) -> None:
    wait_until(lambda: "ready" in child.log_tail(), child, 10, "the child")


def test_a_child_stops_at_the_first_signal_that_it_does_not_ignore(tmp_path: Path) -> None:
    obeys = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # a shell's background processes ignore SIGINT
    child = child_of(tmp_path, IGNORES_SIGTERM.replace("import signal;", f"import signal; {obeys};"))
    wait_until_ready(child)
    order = StopSequence(((signal.SIGTERM, 0.1), (signal.SIGINT, 10.0)))
    assert child.stop(order) in {1, -signal.SIGINT}
    assert not child.running


def test_a_child_that_ignores_signals_is_killed(tmp_path: Path) -> None:
    child = child_of(tmp_path, IGNORES_SIGTERM)
    wait_until_ready(child)
    assert child.stop(StopSequence(((signal.SIGTERM, 0.1),))) == -signal.SIGKILL


def test_a_child_that_exits_too_early_is_reported_with_its_log(tmp_path: Path) -> None:
    child = child_of(tmp_path, "print('what went wrong'); raise SystemExit(3)")
    with pytest.raises(ServerFailed, match="exited with code 3:\nwhat went wrong"):
        wait_until(lambda: False, child, 10, "the child")


def test_a_child_that_takes_too_long_is_reported(tmp_path: Path) -> None:
    child = child_of(tmp_path, SLEEPER)
    with pytest.raises(ServerFailed, match="the child was not ready within 0 s"):
        wait_until(lambda: False, child, 0.05, "the child")
    child.kill()


def test_a_child_gets_its_stdin_and_only_the_given_environment(tmp_path: Path) -> None:
    script = "import os, sys; print(sys.stdin.read(), sorted(os.environ))"
    child = child_of(tmp_path, script, stdin=b"configuration", environment={"ONLY": "this", "LC_CTYPE": "C.UTF-8"})
    assert child.wait(10) == 0
    assert child.log_tail() == "configuration ['LC_CTYPE', 'ONLY']"


def test_a_child_that_ignores_signals_is_killed_with_its_children(tmp_path: Path) -> None:
    spawn = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {SLEEPER!r}]).pid, flush=True)"
    child = child_of(tmp_path, f"{spawn}; {IGNORES_SIGTERM}")
    wait_until_ready(child)
    grandchild = int(child.log_tail().split()[0])
    assert child.stop(StopSequence(((signal.SIGTERM, 0.1),))) == -signal.SIGKILL
    wait_until_exited(grandchild)


def test_input_can_be_sent_to_a_running_child(tmp_path: Path) -> None:
    script = "import sys; print('ready', flush=True); print(sys.stdin.read())"
    child = child_of(tmp_path, script, stdin=None, environment=None)
    wait_until_ready(child)
    assert child.running
    child.send_input(b"the input")
    assert child.wait(10) == 0
    assert child.log_tail() == "ready\nthe input"
    closed = child_of(tmp_path, "pass")
    with pytest.raises(ValueError, match="stdin was set"):
        closed.send_input(b"not read")
    assert closed.wait(10) == 0


def test_a_free_port_is_none_that_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """And none of the ephemeral ports, which outgoing connections take."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", free_port()))
        port = server.getsockname()[1]
        monkeypatch.setattr(processes, "_PORTS", range(port, port + 2))
        assert free_port() == port + 1
        monkeypatch.setattr(processes, "_PORTS", range(port, port + 1))
        with pytest.raises(ServerFailed, match="is free"):
            free_port()


def test_children_are_found_with_their_names(tmp_path: Path) -> None:
    child = child_of(tmp_path, SLEEPER)
    wait_until_ready(child)
    assert child.pid in children_of(os.getpid())
    assert program_name(child.pid).startswith("python")
    child.kill()
    assert program_name(child.pid) == ""


def test_children_exit_when_their_parent_is_killed(tmp_path: Path) -> None:
    """SIGKILL of `tenantry dev` leaves no process (Linux's parent-death signal)."""
    parent = subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", PARENT, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(REPOSITORY)},
    )
    assert parent.stdout is not None
    grandchild = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until_exited(grandchild)


PARENT = """
import sys, threading, time
from pathlib import Path
from gateway.development.processes import Child, Launch
folder = Path(sys.argv[1])

def start():
    child = Child(Launch([sys.executable, "-c", "import time; time.sleep(60)"], folder, folder / "log", {}))
    print(child.pid, flush=True)

thread = threading.Thread(target=start)
thread.start()
thread.join()
time.sleep(60)
"""


def wait_until_exited(pid: int) -> None:
    """Fails when the process still runs after ten seconds. Returns at once when it has exited already."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    watch = select.poll()
    watch.register(descriptor, select.POLLIN)  # readable when the process ends (pidfd_open(2))
    ended = watch.poll(10_000)
    os.close(descriptor)
    assert ended, f"process {pid} outlived its parent"
