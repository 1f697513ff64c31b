"""One `tenantry dev`, from its first line to the end of the last process."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from gateway.development.data_folder import DataFolder
from gateway.development.guide import guide
from gateway.development.ports import PartFailed
from gateway.development.processes import LOOPBACK
from gateway.development.stack import Stack, Wish

_LOOK_EVERY = 0.5  # seconds between two looks at whether everything still runs
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _ToldToStop(BaseException):
    """Raised by the signal itself while we start, so that no wait has to look for it."""


def run(path: Path, wish: Wish, *, reset: bool, say: Callable[[str], None]) -> None:
    """Start everything, print the guide, run until told to stop, stop everything.

    Returns after SIGINT, SIGTERM or SIGHUP. Raises PartMissing or PartFailed when a part is missing, does not start,
    or ends by itself.
    """
    folder = DataFolder.at(path)
    with folder.lock():
        _check_port(wish.port)
        if reset:
            folder.empty()
        stack = Stack(folder, wish, say)
        try:
            with _stopping_at_signals():
                stack.start()
                say(guide(folder.demo, folder.environment))
                _watch(stack)
        except _ToldToStop:
            say("stopping")
        finally:
            with _deaf():
                stack.stop()


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise PartFailed(f"Cannot listen on {LOOPBACK} port {port}: {error.strerror}. Try --port.") from error


def _watch(stack: Stack) -> None:
    never = threading.Event()
    while not never.wait(_LOOK_EVERY):
        failure = stack.failed()
        if failure is not None:
            raise PartFailed(failure)


@contextmanager
def _stopping_at_signals() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _ToldToStop

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _deaf() -> Iterator[None]:
    """A second Ctrl-C must not leave half of it running."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
