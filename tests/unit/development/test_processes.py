"""Children start, end in the order that they are asked to, and never outlive whoever started them."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.development.ports import PartFailed, StopOrder
from gateway.development.processes import Child, Launch, children_of, program_name, wait_until

REPOSITORY = Path(__file__).parents[2]
SLEEPER = "import time; print('ready', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"


def child_of(folder: Path, script: str, **changes: object) -> Child:
    launch = {"command": [sys.executable, "-c", script], "folder": folder, "log": folder / "log", "environment": {}}
    return Child(Launch(**(launch | changes)))  # type: ignore[arg-type]  # a test's shorthand for the fields


def ready(child: Child) -> None:
    wait_until(lambda: "ready" in child.log_tail(), child, 10, "the child")


def test_a_child_ends_by_the_first_signal_that_it_heeds(tmp_path: Path) -> None:
    heeds = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # a shell has its background ignore it
    child = child_of(tmp_path, STUBBORN.replace("import signal;", f"import signal; {heeds};"))
    ready(child)
    order = StopOrder(((signal.SIGTERM, 0.1), (signal.SIGINT, 10.0)))
    assert child.stop(order) in {1, -signal.SIGINT}
    assert not child.running


def test_a_child_that_heeds_nothing_is_killed(tmp_path: Path) -> None:
    child = child_of(tmp_path, STUBBORN)
    ready(child)
    assert child.stop(StopOrder(((signal.SIGTERM, 0.1),))) == -signal.SIGKILL


def test_a_child_that_ends_too_early_is_reported_with_its_log(tmp_path: Path) -> None:
    child = child_of(tmp_path, "print('what went wrong'); raise SystemExit(3)")
    with pytest.raises(PartFailed, match="exit code 3:\nwhat went wrong"):
        wait_until(lambda: False, child, 10, "the child")


def test_a_child_that_takes_too_long_is_reported(tmp_path: Path) -> None:
    child = child_of(tmp_path, SLEEPER)
    with pytest.raises(PartFailed, match="the child was not ready within 0 s"):
        wait_until(lambda: False, child, 0.05, "the child")
    child.kill()


def test_a_child_reads_what_it_is_given_and_sees_no_other_environment(tmp_path: Path) -> None:
    script = "import os, sys; print(sys.stdin.read(), sorted(os.environ))"
    child = child_of(tmp_path, script, stdin=b"configuration", environment={"ONLY": "this", "LC_CTYPE": "C.UTF-8"})
    assert child.wait(10) == 0
    assert child.log_tail() == "configuration ['LC_CTYPE', 'ONLY']"


def test_a_child_that_heeds_nothing_takes_its_own_children_along(tmp_path: Path) -> None:
    spawn = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {SLEEPER!r}]).pid, flush=True)"
    child = child_of(tmp_path, f"{spawn}; {STUBBORN}")
    ready(child)
    grandchild = int(child.log_tail().split()[0])
    assert child.stop(StopOrder(((signal.SIGTERM, 0.1),))) == -signal.SIGKILL
    wait_until_gone(grandchild)


def test_a_child_can_wait_for_a_word(tmp_path: Path) -> None:
    script = "import sys; print('ready', flush=True); print(sys.stdin.read())"
    child = child_of(tmp_path, script, stdin=None, environment=None)
    ready(child)
    assert child.running
    child.tell(b"the word")
    assert child.wait(10) == 0
    assert child.log_tail() == "ready\nthe word"
    deaf = child_of(tmp_path, "pass")
    with pytest.raises(ValueError, match="settled"):
        deaf.tell(b"nobody reads this")
    assert deaf.wait(10) == 0


def test_children_are_found_with_their_names(tmp_path: Path) -> None:
    child = child_of(tmp_path, SLEEPER)
    ready(child)
    assert child.pid in children_of(os.getpid())
    assert program_name(child.pid).startswith("python")
    child.kill()
    assert program_name(child.pid) == ""


def test_children_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    """A kill -9 of `tenantry dev` leaves nothing running (Linux's parent-death signal)."""
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
    wait_until_gone(grandchild)


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


def wait_until_gone(pid: int) -> None:
    """Fails when the process still runs after ten seconds. Returns at once when it has gone before."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    watch = select.poll()
    watch.register(descriptor, select.POLLIN)  # readable when the process ends (pidfd_open(2))
    ended = watch.poll(10_000)
    os.close(descriptor)
    assert ended, f"process {pid} outlived its parent"
