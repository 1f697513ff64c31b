"""One run of `tenantry dev`: start, wait for a signal, stop."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from gateway.development.data_folder import DataFolder
from gateway.development.options import DevOptions
from gateway.development.processes import LOOPBACK
from gateway.development.servers import ServerFailed, SetUpFailed
from gateway.development.stack import Stack

_POLL_SECONDS = 0.5  # between two checks that everything still runs
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _StopRequested(BaseException):
    """Raised by the signal handler, so that no wait during the start has to poll for it."""


def run(path: Path, options: DevOptions, *, reset: bool, say: Callable[[str], None]) -> None:
    """Start everything, print the next steps, and stop everything at SIGINT, SIGTERM or SIGHUP.

    Raises DevelopmentError when something cannot be started, or exits.
    """
    folder = _data_folder(path)
    with folder.lock():
        _check_port(options.port)
        if reset:
            folder.empty()
        stack = Stack(folder, options, say)
        try:
            with _signals_raise():
                stack.start()
                say(folder.next_steps.read_text())
                _watch(stack)
        except _StopRequested:
            say("stopping")
        finally:
            with _signals_ignored():
                stack.stop()


def _data_folder(path: Path) -> DataFolder:
    try:
        return DataFolder.at(path)
    except OSError as error:
        raise SetUpFailed(f"The data folder {path} cannot be used: {error.strerror}. Try --data.") from error


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise SetUpFailed(f"Cannot listen on {LOOPBACK} port {port}: {error.strerror}. Try --port.") from error


def _watch(stack: Stack) -> None:
    never_set = threading.Event()
    while not never_set.wait(_POLL_SECONDS):
        failure = stack.failed()
        if failure is not None:
            raise ServerFailed(failure)


@contextmanager
def _signals_raise() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _StopRequested

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _signals_ignored() -> Iterator[None]:
    """A second Ctrl-C must not interrupt the stop."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
